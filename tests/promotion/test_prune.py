"""A home with a champion and two later releases is pruned long after: what is needed stays and works."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import ViewType
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from tasks.cli import main
from tasks.errors import AuditMismatch, ContractError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.monitoring import monitor
from tasks.pipeline import apply_policy
from tasks.promotion import overview, prune
from tasks.promotion.moves import rollback
from tasks.promotion.prune import PruneResult
from tasks.release.view import show, verify
from tasks.stores import removal
from tasks.stores.audit import Entry, Kind
from tasks.stores.runs import StepKey
from tasks.stores.tracking import PatientClient
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import AS_OF, LATER, NAME, Retrained

MUCH_LATER = datetime.now(UTC) + timedelta(days=400)
DAY = timedelta(days=1)
HIDES = f"{NAME}.task.hide_2d"


def keep_little(plain: dict[str, Any]) -> None:
    plain["keep"] = {"snapshots": "P1D", "releases": 1, "runs": "P1D"}


def version_3(plain: dict[str, Any]) -> None:
    mini.version_2(plain)
    plain["version"] = 3
    plain["weights"]["click_30m"] = 1.2


@pytest.fixture(scope="module")
def template(second_retrain: Retrained, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Release 1 is champion, the newest the challenger, those between no more; one build serves none."""
    folder = tmp_path_factory.mktemp("pruned")
    workspace = copied(second_retrain.workspace, folder)
    workspace = mini.changed(workspace, folder, utility=version_3, surface=keep_little)
    release = apply_policy(workspace).release
    labels.run(workspace, as_of=AS_OF - DAY)
    registry = workspace.store.registry
    for inputs in "ab":  # the newer run's version stays
        with workspace.store.runs.step(StepKey(NAME, "train", inputs, "hide_2d")) as run:
            files = {"model.txt": inputs.encode()}
            registry.register(HIDES, files, run_id=run.run_id, tags={}, model_type="task")
    registry.set_alias(registry.part(f"{NAME}.release", release), "challenger")
    return workspace


@pytest.fixture
def workspace(template: Workspace, tmp_path: Path) -> Workspace:
    return copied(template, tmp_path)


def copied(workspace: Workspace, folder: Path) -> Workspace:
    home = shutil.copytree(workspace.home, folder / "home")
    return Workspace.open(NAME, surfaces=workspace.surfaces, home=home)


def pruned(workspace: Workspace, *, dry_run: bool = False, now: datetime = MUCH_LATER) -> PruneResult:
    return prune.run(workspace, dry_run=dry_run, now=now)


def counts(result: PruneResult) -> dict[str, int]:
    return {one.kind: one.count for one in result.removed}


def files(workspace: Workspace) -> dict[str, int]:
    """Return every file of the home with its size, but for locks, the database and the audit's own parts."""
    home, passing = workspace.home, {"locks", "audit", "tmp"}
    found = (
        path
        for path in home.rglob("*")
        if path.is_file() and path.suffix not in {".db", ".db-wal", ".db-shm"}
    )
    names = {path.relative_to(home): path.stat().st_size for path in found}
    return {
        str(name): size
        for name, size in names.items()
        if name.parts[0] not in passing and name.name != ".lock"
    }


def newest(workspace: Workspace, name: str = f"{NAME}.release") -> int:
    """Return the newest version: tests before these may have made more of them in the shared home."""
    return workspace.store.registry.versions(name)[0].version


def promote_next(row: Entry, _: object, aliases: Mapping[str, int]) -> Entry | None:
    return row if aliases["champion"] == row.champion else None


def prune_rows(workspace: Workspace) -> list[str]:
    return [row.why for row in workspace.audit.entries() if row.kind is Kind.PRUNE]


def test_a_dry_run_names_what_goes_and_what_stays_and_removes_nothing(template: Workspace) -> None:
    before = files(template)
    others = [part.version for part in template.store.registry.versions(f"{NAME}.release")][1:-1]
    result = pruned(template, dry_run=True)
    assert files(template) == before
    assert prune_rows(template) == []
    assert {one.why: one.versions for one in result.kept if one.kind == "releases"} == {
        "challenger": (newest(template),),
        "champion": (1,),
    }
    found = {one.kind: one for one in result.removed}
    assert found["releases"].versions == tuple(sorted(others))
    assert all(one.count and one.bytes and one.oldest and one.newest for one in found.values())


def test_what_is_kept_still_works(workspace: Workspace) -> None:
    release, hides = newest(workspace), newest(workspace, HIDES)
    asked, size = pruned(workspace, dry_run=True), sum(files(workspace).values())
    result = pruned(workspace)
    assert (result.removed, result.kept) == (asked.removed, asked.kept)
    assert size - sum(files(workspace).values()) == sum(one.bytes for one in result.removed)
    registry = workspace.store.registry
    assert [part.version for part in registry.versions(f"{NAME}.release")] == [release, 1]
    assert [part.version for part in registry.versions(HIDES)] == [hides, 1]
    for kept in (1, release):
        assert verify(workspace, kept).problems == []
        assert show(workspace, kept)["verdict"] in {"promote", "hold"}
        assert overview.dossier(workspace, release=kept).startswith("<!doctype html>")
        pinned = registry.tags(registry.part(f"{NAME}.release", kept))["label_snapshot"]
        assert LabelStore(workspace.store, NAME).snapshot(pinned).read(["request_id"]).num_rows > 0
    assert overview.read(workspace).problems == ()
    assert workspace.aliases.mismatch() is None
    assert monitor.run(workspace, as_of=LATER).days > 0


def test_a_second_run_removes_nothing_and_adds_no_row(workspace: Workspace) -> None:
    pruned(workspace)
    after = files(workspace)
    again = pruned(workspace, now=MUCH_LATER + DAY)
    assert set(counts(again).values()) == {0}
    assert files(workspace) == after
    assert len(prune_rows(workspace)) == 1


def test_mlflows_bin_is_emptied_of_what_lay_there_long_enough(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned(workspace)
    client, experiments = workspace.store.client, [workspace.store.runs.experiment_id(NAME)]
    assert client.search_runs(experiments, run_view_type=ViewType.DELETED_ONLY)
    monkeypatch.setattr(removal, "IN_BIN", timedelta())
    pruned(workspace)
    assert not client.search_runs(experiments, run_view_type=ViewType.DELETED_ONLY)
    assert verify(workspace, "champion").problems == []


def test_a_release_that_served_stays_and_can_be_gone_back_to(workspace: Workspace) -> None:
    for release, before in ((2, 1), (newest(workspace), 2)):
        row = Entry(Kind.PROMOTE, "ana", release, before, "better", "of no evidence")
        workspace.aliases.add(partial(promote_next, row))
    result = pruned(workspace)
    assert {one.why: one.versions for one in result.kept if one.kind == "releases"} == {
        "challenger, champion": (newest(workspace),),
        "previous": (2,),
        "named by the audit": (1,),
    }
    assert rollback.run(workspace, why="returns rose", by="ana", to="1").champion == 1
    assert verify(workspace, "champion").problems == []
    assert counts(pruned(workspace))["releases"] == 0


def test_a_release_that_reviewers_may_be_looking_at_stays(workspace: Workspace) -> None:
    young = pruned(workspace, dry_run=True, now=datetime.now(UTC))
    gone = {version for one in young.removed for version in one.versions}
    (judged,) = (one.versions for one in young.kept if one.why == "an approval may be open")
    assert 2 in judged
    assert not gone & {1, 2, newest(workspace)}
    assert (counts(young)["runs"], counts(young)["label files"]) == (0, 0)


def test_an_alias_that_somebody_moved_by_hand_keeps_everything(workspace: Workspace) -> None:
    registry = workspace.store.registry
    registry.set_alias(registry.part(f"{NAME}.release", 2), "champion")
    before = files(workspace)
    with pytest.raises(AuditMismatch, match="by hand"):
        pruned(workspace)
    assert files(workspace) == before


def test_the_command_prints_what_would_go_as_text_and_as_json(
    template: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", NAME, "--dry-run", "--surfaces", str(template.surfaces), "--home", str(template.home)]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {*printed} == {"surface", "dry_run", "removed", "kept", "notes"}
    assert [one["kind"] for one in printed["removed"]] == [
        "releases",
        "models",
        "runs",
        "pages",
        "label files",
    ]
    assert main(words) == 0
    assert "kept: release 1 (champion)" in capsys.readouterr().out


def test_without_keep_nothing_is_removed(second_retrain: Retrained) -> None:
    with pytest.raises(ContractError, match="declares no keep"):
        pruned(second_retrain.workspace)


def test_killed_anywhere_and_run_again_it_ends_the_same(template: Workspace, tmp_path: Path) -> None:
    undisturbed, killed = (copied(template, tmp_path / name) for name in ("undisturbed", "killed"))
    pruned(undisturbed)
    start = multiprocessing.get_context("forkserver")
    start.set_forkserver_preload(["tests.promotion.test_prune"])
    ends = []
    for calls in (1, 2, 9, 30):
        process = start.Process(target=prune_until, args=(killed.surfaces, killed.home, calls))
        process.start()
        process.join()
        ends.append(process.exitcode)
    assert ends == [-signal.SIGKILL] * len(ends)
    pruned(killed)
    assert files(killed) == files(undisturbed)
    assert mini.versions(killed) == mini.versions(undisturbed)
    assert prune_rows(killed) == prune_rows(undisturbed)


def prune_until(surfaces: Path, home: Path, calls: int) -> None:
    """Prune, and be killed where that many things have been removed or written."""
    left = [calls]

    def counted(call: Callable[..., Any], *args: Any, **how: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **how)

    removals = {
        PatientClient: (
            "delete_model_version",
            "delete_logged_model",
            "delete_run",
            "set_registered_model_tag",
        ),
        LocalArtifactRepository: ("delete_artifacts",),
        Path: ("unlink",),
    }
    for owner, names in removals.items():
        for name in names:
            setattr(owner, name, partialmethod(partial(counted, getattr(owner, name))))
    pruned(Workspace.open(NAME, surfaces=surfaces, home=home))
