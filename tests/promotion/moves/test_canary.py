"""A release serves a share of the users before it is champion, where its surface declares a ramp."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import AuditMismatch, ContractError, GateRefused
from tasks.promotion import overview
from tasks.promotion.moves import request, rollback
from tasks.release import view
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import NAME
from tests.promotion.moves.moving import (
    MODEL,
    approve,
    end_ramp,
    forget_moves,
    moved_aliases,
    moves,
    prepared,
    promote_2,
)
from tests.stores.registered import register

CANARY = {"champion": 1, "canary": 2}


def a_quarter(plain: dict[str, Any]) -> None:
    plain["ramp"] = {"stages": [{"share": 0.25, "harm": 0.5}], "guardrails": ["hide_2d_rate"]}


def a_quarter_in_airflow(plain: dict[str, Any]) -> None:
    a_quarter(plain)
    plain["promotion"] = {}


@pytest.fixture
def there(workspace: Workspace, tmp_path: Path) -> Workspace:
    return mini.changed(workspace, tmp_path, surface=a_quarter)


def share_of(workspace: Workspace, version: int) -> str | None:
    registry = workspace.store.registry
    return registry.tags(registry.part(MODEL, version)).get("canary_share")


def test_it_is_the_canary_first_with_its_share_for_whoever_serves_and_then_the_champion(
    there: Workspace,
) -> None:
    first = promote_2(there)
    assert (first.champion, first.canary) == (1, 2)
    assert first.moved is not None
    assert (first.moved.kind.value, first.moved.share) == ("canary", 0.25)
    assert moved_aliases(there) == CANARY
    assert share_of(there, 2) == "0.25"
    assert (
        overview.describe_entry(first.moved) == "canary: release 2 compared with champion 1, 25% of the users"
    )
    assert [one.share for one in overview.read(there).aliases.releases if one.alias == "canary"] == [0.25]
    assert view.show(there, "canary")["canary_share"] == 0.25
    assert view.verify(there, "canary").problems == []
    with pytest.raises(GateRefused, match="has not reached the end of its ramp"):
        promote_2(there, stage="champion")
    end_ramp(there)
    second = promote_2(there, stage="champion")
    assert (second.champion, second.canary) == (2, None)
    assert moved_aliases(there) == {"champion": 2, "previous": 1}
    assert share_of(there, 2) is None
    assert moves(there)[1:] == [("canary", 1, 2), ("ramped", 1, 2), ("promote", 1, 2)]


def test_the_same_command_once_more_is_nothing_to_do_and_no_next_stage(there: Workspace) -> None:
    promote_2(there)
    again = promote_2(there)
    assert (again.moved, again.canary) == (None, 2)
    assert moved_aliases(there) == CANARY


def test_nobody_is_asked_for_a_canary_that_is_there(there: Workspace) -> None:
    promote_2(there)
    with pytest.raises(GateRefused, match="is the canary already"):
        prepared(there)


def test_no_release_is_champion_that_was_not_the_canary(there: Workspace) -> None:
    with pytest.raises(GateRefused, match="champion only after it was the canary, and there is none now"):
        promote_2(there, stage="champion")
    assert moved_aliases(there) == {"champion": 1}


def test_each_stage_asks_for_approvals_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    there = mini.changed(workspace, tmp_path, surface=a_quarter_in_airflow)

    as_canary = prepared(there).evidence
    approve(there, as_canary)
    assert promote_2(there).moved is not None
    end_ramp(there)
    with pytest.raises(GateRefused, match="Nobody approved for product"):
        promote_2(there, stage="champion")
    as_champion = prepared(there, stage="champion").evidence
    assert as_champion != as_canary
    approve(there, as_champion)
    assert promote_2(there, stage="champion").moved is not None


def test_the_first_champion_has_nothing_to_be_a_canary_beside(there: Workspace) -> None:
    forget_moves(there)
    with pytest.raises(ContractError, match="no champion to compare a canary with"):
        promote_2(there, stage="canary")
    assert promote_2(there).champion == 2
    assert moved_aliases(there) == {"champion": 2}


@pytest.mark.parametrize(
    ("stage", "said"), [("canary", "declares no ramp"), ("half", "Unknown stage 'half'")]
)
def test_a_surface_without_canary_promotes_as_before(workspace: Workspace, stage: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        promote_2(workspace, stage=stage)
    assert promote_2(workspace, stage="champion").champion == 2


def test_going_back_ends_the_canary_and_the_same_words_once_more_go_no_further(there: Workspace) -> None:
    promote_2(there)
    ended = rollback.run(there, why="hides rose", by="sam")
    assert ended.moved is not None
    assert (ended.moved.kind.value, ended.champion, ended.canary) == ("withdraw", 1, None)
    assert moved_aliases(there) == {"champion": 1}
    assert share_of(there, 2) is None
    assert rollback.run(there, why="hides rose", by="sam").moved is None
    with pytest.raises(ContractError, match="no previous release"):
        rollback.run(there, why="still bad", by="sam")
    assert moves(there)[1:] == [("canary", 1, 2), ("withdraw", 1, 2)]


def test_a_rollback_ends_one_of_two_canaries_or_both(there: Workspace, tmp_path: Path) -> None:
    halves = mini.changed(
        with_release_3(there, tmp_path),
        tmp_path / "halves",
        surface=lambda plain: plain["ramp"].update(pools=[0.5, 0.5]),
    )
    first = promote_2(halves).moved
    assert first is not None
    assert (first.pool, first.served) == ("[1, 0.0, 0.5]", "25% of pool 1 (0 to 0.5 of the users)")

    def begin_3() -> None:
        halves.aliases.add(
            lambda *_: Entry(Kind.CANARY, "ana", 3, 1, "why", share=0.25, pool="[2, 0.5, 1.0]")
        )

    begin_3()
    with pytest.raises(ContractError, match=r"Release 4 is not a canary\. Canaries: 2, 3"):
        rollback.run(halves, why="hides rose", by="sam", canary=4)
    with pytest.raises(ContractError, match="exclude each other"):
        rollback.run(halves, why="hides rose", by="sam", canary=3, to="1")
    assert rollback.run(halves, why="hides rose", by="sam", canary=3).ended == (3,)
    assert moved_aliases(halves) == CANARY
    begin_3()
    assert rollback.run(halves, why="returns rose", by="sam", asked_by="run_1").ended == (2, 3)
    begin_3()
    assert rollback.run(halves, why="returns rose", by="sam", asked_by="run_1").ended == ()
    assert view.verify(halves, "champion").problems == []
    assert halves.aliases.settle()["canary_2"] == 3, "it began after the run that is started again"


def test_a_third_release_waits_for_a_free_pool(there: Workspace, tmp_path: Path) -> None:
    copied = with_release_3(there, tmp_path)
    copied.aliases.add(lambda *_: Entry(Kind.CANARY, "ana", 3, 1, "why", share=0.25))
    with pytest.raises(GateRefused, match="Release 3 is in its ramp, and no pool of users is free"):
        promote_2(copied)


def with_release_3(workspace: Workspace, folder: Path) -> Workspace:
    """Copy the home, and register one more release in it."""
    home = Path(shutil.copytree(workspace.home, folder / "copied"))
    copied = Workspace.open(NAME, surfaces=workspace.surfaces, home=home)
    register(copied.aliases, "3")
    return copied


def test_a_canary_that_somebody_ended_is_not_proposed_again(there: Workspace, tmp_path: Path) -> None:
    promote_2(there)
    rollback.run(there, why="hides rose", by="sam")
    proposing = mini.changed(there, tmp_path / "proposing", surface=setting("promotion.propose", True))
    assert request.propose(proposing, release=2).why == "it was the canary before"


def test_going_back_to_a_release_that_served_leaves_no_canary(there: Workspace) -> None:
    promote_2(there)
    end_ramp(there)
    promote_2(there, stage="champion")
    rollback.run(there, why="returns rose", by="sam")
    promote_2(there)
    assert moved_aliases(there) == {"champion": 1, "previous": 1, "canary": 2}
    rollback.run(there, why="returns rose again", by="sam", to="2")
    assert moved_aliases(there) == {"champion": 2, "previous": 2}
    assert share_of(there, 2) is None


def test_a_canary_set_by_hand_is_noticed_and_going_back_ends_it(there: Workspace) -> None:
    registry = Store.open(there.home).registry
    registry.set_alias(registry.part(MODEL, 2), "canary")
    (problem,) = view.verify(there, "champion").problems
    assert "In the registry, champion = 1, canary = 2" in problem
    with pytest.raises(AuditMismatch, match="by hand"):
        promote_2(there)
    rollback.run(there, why="nobody approved it", by="sam", to="1")
    assert moved_aliases(there) == {"champion": 1, "previous": 1}


def test_the_command_line_says_how_far_it_moved(there: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--surfaces", str(there.surfaces), "--home", str(there.home)]
    words = ["promote", NAME, "2", "--why", "carts rose", "--by", "ana", "--experiment", "feed-142", *where]
    printed = []
    for typed in (words, words, [*words, "--stage", "champion"]):
        if "--stage" in typed:
            end_ramp(there)
        assert main(typed) == 0
        printed.append(capsys.readouterr().out.splitlines())
    signed = "signed: ana alone, for product and safety"
    assert printed == [
        ["canary: release 2, champion 1 (canary by ana: carts rose)", "share: 0.25", signed],
        ["nothing to do: release 1 is the champion, and release 2 the canary: continue with equipoise ramp"],
        ["champion: 1 -> 2 (promote by ana: carts rose)", signed],
    ]
    assert main(["release", "history", NAME, *where]) == 0
    lines = [line[27:] for line in capsys.readouterr().out.splitlines() if line[:4].strip()]
    assert lines[1:] == [
        "canary    release 2, champion 1  by ana",
        "ramped    release 2, champion 1  by equipoise ramp",
        "promote   1 -> 2  by ana",
    ]
