"""A champion goes back to what served before, for a reason and without a gate, and the audit says so."""

import signal
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.promotion.moves import rollback
from tasks.release import view as release_view
from tasks.stores import delta
from tasks.stores.audit import SCHEMA, Entry, Kind
from tasks.stores.workspace import Workspace
from tasks.training import plan
from tests.feeds import mini
from tests.feeds.mini import LATER, NAME
from tests.promotion.moves.moving import MODEL, moved_aliases, moves, promote_2


def test_a_rollback_goes_back_and_a_second_one_changes_nothing(workspace: Workspace) -> None:
    promote_2(workspace)
    assert rollback.run(workspace, why="returns rose", by="sam").champion == 1
    assert rollback.run(workspace, why="returns rose", by="sam").moved is None
    assert moves(workspace)[1:] == [("promote", 1, 2), ("rollback", 2, 1)]
    assert moved_aliases(workspace) == {"champion": 1, "previous": 1}


def test_a_rollback_that_was_killed_three_times_makes_one_move(workspace: Workspace, tmp_path: Path) -> None:
    second = Entry(Kind.PROMOTE, "ana", 2, 1, "carts rose", "of no evidence")
    workspace.aliases.add(lambda entries, aliases: second)
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    words = ["rollback", NAME, "--why", "returns rose", "--by", "sam", *where]
    ends = mini.run_killed(words, [("", 0.0), ("", 0.15), ("", 0.4)], tmp_path / "killed")
    assert (ends[0], ends[-1]) == (-signal.SIGKILL, 0)
    assert moves(workspace)[1:] == [("promote", 1, 2), ("rollback", 2, 1)]
    assert moved_aliases(workspace) == {"champion": 1, "previous": 1}


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_goes_back(workspace: Workspace, why: str) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        rollback.run(workspace, why=why, by="ana")
    assert moved_aliases(workspace) == {"champion": 1}


def test_an_airflow_run_goes_back_at_most_once(workspace: Workspace) -> None:
    promote_2(workspace)
    assert rollback.run(workspace, why="returns rose", by="sam", asked_by="run-1").champion == 1
    promote_2(workspace)
    assert rollback.run(workspace, why="returns rose", by="sam", asked_by="run-1").moved is None
    assert moved_aliases(workspace)["champion"] == 2


def test_there_is_no_going_back_where_nothing_was_before(untouched: Workspace) -> None:
    with pytest.raises(ContractError, match="no previous release"):
        rollback.run(untouched, why="returns rose", by="sam")


def test_a_release_that_never_served_is_nothing_to_go_back_to(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match="was never champion"):
        rollback.run(workspace, why="returns rose", by="sam", to="2")


def test_an_alias_moved_by_hand_is_noticed_and_a_rollback_puts_it_right(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    registry = workspace.store.registry
    registry.set_alias(registry.part(MODEL, 2), "champion")
    by_hand = "In the registry, champion = 2; by the last audited move, champion = 1"
    (problem,) = release_view.verify(workspace, 2).problems
    assert problem.startswith(f"Somebody updated an alias of {MODEL} by hand. {by_hand}.")
    assert (
        plan.run(workspace, as_of=LATER).mismatch
        == f"Somebody updated an alias of {MODEL} by hand. {by_hand}."
    )
    assert f"Somebody updated an alias of {MODEL} by hand. {by_hand}" in caplog.text
    with pytest.raises(AuditMismatch, match="Repair it with `equipoise rollback home_feed --to VERSION"):
        promote_2(workspace)
    registry.set_alias(registry.part(MODEL, 1), "previous")
    with pytest.raises(AuditMismatch, match="with --to VERSION"):
        rollback.run(workspace, why="nobody approved it", by="sam")
    assert rollback.run(workspace, why="nobody approved it", by="sam", to="1").champion == 1
    assert release_view.verify(workspace, 1).problems == []
    assert moves(workspace)[1:] == [("rollback", 2, 1)]


def test_a_move_by_hand_can_be_taken_into_the_audit(workspace: Workspace) -> None:
    registry = workspace.store.registry
    registry.set_alias(registry.part(MODEL, 2), "champion")
    rollback.run(workspace, why="moved by hand while Airflow was down", by="ana", to="champion")
    assert moves(workspace)[1:] == [("rollback", 2, 2)]
    assert release_view.verify(workspace, 2).problems == []


def test_with_a_torn_audit_one_rollback_is_enough_and_needs_no_version(workspace: Workspace) -> None:
    promote_2(workspace)
    path = workspace.store.audit(NAME).path
    assert isinstance(path, Path)
    newest = max((path / "_delta_log").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:50])
    with pytest.raises(StoreError, match="`equipoise rollback home_feed --to VERSION --why TEXT`, once"):
        promote_2(workspace)
    assert "cannot be read" in release_view.verify(workspace, 2).problems[0]
    assert rollback.run(workspace, why="returns rose", by="sam").champion == 1
    assert moves(workspace) == [("rollback", 2, 1)]
    assert moved_aliases(workspace) == {"champion": 1, "previous": 1}
    assert release_view.verify(workspace, 1).problems == []


def test_a_lost_audit_makes_no_way_for_a_release_that_no_alias_means(workspace: Workspace) -> None:
    workspace.store.audit(NAME).set_aside()
    with pytest.raises(ContractError, match="was never champion"):
        rollback.run(workspace, why="it looks good", by="sam", to="2")
    assert rollback.run(workspace, why="the audit is lost", by="sam", to="champion").champion == 1
    assert release_view.verify(workspace, 1).problems == []


def test_a_row_that_was_changed_in_place_is_shown_as_such(workspace: Workspace) -> None:
    promote_2(workspace)
    audit = workspace.store.audit(NAME)
    first, second = audit.entries()
    audit.set_aside()
    delta.append(audit.path, pa.Table.from_pylist([asdict(replace(first, by="max")), asdict(second)], SCHEMA))
    assert [row["problem"] for row in release_view.history(workspace)] == [
        "row 0, or a row before it, is not what was written",
        None,
    ]
    with pytest.raises(StoreError, match="is not what was written: row 0"):
        promote_2(workspace)
    assert "is not what was written: row 0" in release_view.verify(workspace, 2).problems[0]


@pytest.fixture
def torn_2(workspace: Workspace) -> Iterator[Workspace]:
    """The same, where a tag of release 2 is not what its manifest says."""
    registry = workspace.store.registry
    part = registry.part(MODEL, 2)
    as_of = registry.tags(part)["as_of"]
    registry.set_tags(part, {"as_of": "2031-01-01T00:00:00Z"})
    yield workspace
    registry.set_tags(part, {"as_of": as_of})


def test_there_is_no_going_back_to_a_release_that_is_not_whole_and_what_else_served_is_named(
    torn_2: Workspace,
) -> None:
    promoted = Entry(Kind.PROMOTE, "ana", 2, 1, "carts rose", "e")
    torn_2.aliases.add(lambda *_: promoted)
    named = r"version 2 is not whole: .*2031.*or go back to release 1, which served, with `equipoise rollback home"
    with pytest.raises(StoreError, match=named):
        rollback.run(torn_2, why="it was better", by="sam", to="2")
    assert rollback.run(torn_2, why="returns rose", by="sam").champion == 1
    with pytest.raises(StoreError, match=r"is not whole: .*no other release that served is known"):
        rollback.run(torn_2, why="it was better", by="sam", to="2")
    assert moved_aliases(torn_2)["champion"] == 1
