"""What was approved is what moves: a byte that changed since is found before anything of the release is run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.pipeline import recheck
from tasks.promotion import overview
from tasks.promotion.moves import request as promotion_request
from tasks.release.view import ReleaseReader
from tasks.stores.manifest import Part, PinnedPart, Role
from tasks.stores.workspace import Workspace
from tests.feeds.mini import step_runs
from tests.promotion.moves.moving import (
    TESTED,
    approve,
    evaluate_once,
    moved_aliases,
    moves,
    prepared,
    promote_2,
)
from tests.stores.forged import forge_run

RUN = "manual__2026-02-12T00:00:00+00:00"


@contextmanager
def flipped(workspace: Workspace, part: Part, file: str) -> Iterator[None]:
    """Flip one bit of a stored file for a while."""
    registry = workspace.store.registry
    stored = registry.client.get_logged_model(registry.model_id(part)).artifact_location
    path = Path(stored.removeprefix("file://")) / file
    before = path.read_bytes()
    middle = len(before) // 2
    path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(before)


def blocked(text: str) -> str:
    """Return evidence in which whatever passed is blocked."""
    return text.replace('"pass"', '"block"').replace('"success": true', '"success": false')


@pytest.mark.parametrize("step", ["validate", "simulate", "shadow", "gate"])
def test_a_run_that_somebody_forged_in_mlflow_changes_no_verdict(workspace: Workspace, step: str) -> None:
    judged = recheck(workspace, 2)
    counting = step_runs(workspace, step)
    forged = forge_run(workspace.home, counting[-1], blocked)
    try:
        again = recheck(workspace, 2)
        assert again.evidence.to_json()["gates"] == judged.evidence.to_json()["gates"]
        assert forged in step_runs(workspace, step)
        assert not overview.read(workspace).problems
        assert (
            promotion_request.make(workspace, release=2, support=TESTED, evaluate_gate=evaluate_once).run_id
            != forged
        )
    finally:
        workspace.store.registry.client.delete_run(forged)


def test_evidence_without_a_record_promotes_nothing_until_its_step_ran_again(workspace: Workspace) -> None:
    run = workspace.store.registry.run_id(ReleaseReader(workspace).part(2))
    record = workspace.home / "evidence" / run
    aside = record.rename(record.with_name("aside"))
    try:
        with pytest.raises(StoreError, match=f"Run {run} is not recorded in .*Run its step again"):
            promote_2(workspace, run=RUN)
    finally:
        aside.rename(record)
    assert moved_aliases(workspace) == {"champion": 1}


def click(reader: ReleaseReader) -> PinnedPart:
    return reader.manifest(2).part(Role.TASK, "click_30m")


@pytest.mark.parametrize(
    ("changed", "file", "named"),
    [
        (lambda reader: reader.part(2), "artifacts/release/manifest.json", "version 2 holds other bytes"),
        (lambda reader: reader.part(2), "MLmodel", "version 2 holds other bytes"),
        (click, "model.lgb", r"files of a pinned part cannot be compared: home_feed\.task\.click_30m"),
    ],
    ids=["its manifest", "what MLflow wrote of it", "a model that it pins"],
)
def test_a_byte_that_changes_between_approval_and_move_moves_nothing(
    workspace: Workspace, changed: Callable[[ReleaseReader], Part], file: str, named: str
) -> None:
    approve(workspace, prepared(workspace).evidence, run=RUN)
    judged, part = step_runs(workspace, "gate", release=2), changed(ReleaseReader(workspace))
    with flipped(workspace, part, file), pytest.raises(StoreError, match=f"is not whole: .*{named}"):
        promote_2(workspace, run=RUN)
    assert moved_aliases(workspace) == {"champion": 1}
    assert step_runs(workspace, "gate", release=2) == judged, "it was refused before it was evaluated"
    assert promote_2(workspace, run=RUN).moved is not None, "whole again, the same approvals count"
    assert [kind for kind, *_ in moves(workspace)[1:]] == ["approve", "approve", "promote"]
