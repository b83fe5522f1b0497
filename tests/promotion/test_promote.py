"""A release becomes champion for a reason, with its evidence, once; and goes back the same way.

The second release of the mini feed changes the utility policy of the first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import ContractError, GateRefused, StoreError
from tasks.pipeline import recheck
from tasks.promotion import promote, rollback
from tasks.promotion.promote import MoveResult
from tasks.promotion.rules import Answer, Case, Mover, Support
from tasks.release import step as release
from tasks.release import view as release_view
from tasks.release.trained import Trained
from tasks.stores import releases
from tasks.stores.audit import Audit, Entry, Kind
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tasks.training import plan
from tests.feeds import mini
from tests.feeds.mini import AS_OF, LATER, NAME, Retrained

MODEL = f"{NAME}.release"
TESTED = Support(experiment="feed-142")
RUN = "manual__2026-02-12T00:00:00+00:00"


@pytest.fixture
def workspace(second_retrain: Retrained) -> Iterator[Workspace]:
    """Two releases, of which the first is champion; afterwards it is again."""
    workspace = second_retrain.workspace
    yield workspace
    _forget_moves(workspace)
    mini.set_champion(workspace, 1)


@pytest.fixture
def untouched(workspace: Workspace) -> Workspace:
    """The same without any move so far."""
    _forget_moves(workspace)
    return workspace


def _forget_moves(workspace: Workspace) -> None:
    registry = Registry(workspace.home)
    for alias in ("champion", "previous"):
        registry.client.delete_registered_model_alias(MODEL, alias)
    registry.client.delete_registered_model_tag(MODEL, "equipoise.moves")
    for file in sorted(Audit(workspace.home, workspace.surface).path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def moved_aliases(workspace: Workspace) -> dict[str, int]:
    aliases = Registry(workspace.home).aliases(MODEL)
    return {alias: aliases[alias] for alias in ("champion", "previous") if alias in aliases}


def moves(workspace: Workspace) -> list[tuple[str, int | None, int]]:
    entries = Audit(workspace.home, workspace.surface).entries()
    return [(entry.kind.value, entry.champion, entry.release) for entry in entries]


def promote_2(workspace: Workspace, *, run: str = "") -> MoveResult:
    return promote.run(
        workspace, release=2, why="carts rose", by=Mover("ana", run), judge=recheck, support=TESTED
    )


def prepare(workspace: Workspace, release: str | int = 2) -> Case:
    return promote.prepare(workspace, release=release, judge=recheck)


def approve(workspace: Workspace, evidence: str, *roles: str) -> None:
    for role in roles:
        by = {"product": "ana", "safety": "sam"}[role]
        promote.answer(workspace, Answer(role, by, True, evidence), release=2, run=RUN)


def test_the_champion_becomes_previous_and_one_row_keeps_why_and_by_what_evidence(
    workspace: Workspace,
) -> None:
    case = prepare(workspace, "challenger")
    assert (case.release, case.champion, case.verdict, case.changed) == (2, 1, "promote", ("utility",))
    result = promote_2(workspace)
    assert moved_aliases(workspace) == {"champion": 2, "previous": 1}
    assert result.champion == 2
    assert result.moved == Audit(workspace.home, NAME).last_move()
    assert result.moved is not None
    kept = (result.moved.by, result.moved.why, result.moved.experiment, result.moved.evidence)
    assert kept == ("ana", "carts rose", "feed-142", case.evidence)


def test_the_same_promotion_once_more_is_nothing_to_do(workspace: Workspace) -> None:
    promote_2(workspace)
    assert promote_2(workspace) == MoveResult(2, None)
    assert moves(workspace)[1:] == [("promote", 1, 2)]


def test_evidence_is_the_same_whoever_looks_and_another_beside_another_champion(workspace: Workspace) -> None:
    beside_1 = prepare(workspace).evidence
    assert prepare(workspace).evidence == beside_1
    _forget_moves(workspace)
    assert prepare(workspace).evidence != beside_1


def test_a_changed_policy_is_not_promoted_without_experiment_or_waiver(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match=r"changes utility\.yaml of champion 1"):
        promote.run(workspace, release=2, why="carts rose", by=Mover("ana"), judge=recheck)
    assert moved_aliases(workspace) == {"champion": 1}


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_moves(workspace: Workspace, why: str) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        promote.run(workspace, release=2, why=why, by=Mover("ana"), judge=recheck, support=TESTED)
    with pytest.raises(ContractError, match="needs a reason"):
        rollback.run(workspace, why=why, by="ana")
    assert moved_aliases(workspace) == {"champion": 1}


def test_a_version_that_does_not_exist_is_named(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match="Unknown version '17'"):
        promote.run(workspace, release=17, why="carts rose", by=Mover("ana"), judge=recheck)


def test_a_release_that_the_gates_of_now_hold_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    """The release was let through when it was made; its surface asks for more since."""

    def ask_more(plain: dict[str, Any]) -> None:
        plain["gates"]["data"]["rows"] = 10**9
        plain["gates"]["cannot_tell"] = "hold"

    with pytest.raises(GateRefused, match="held beside champion 1: data cannot_tell"):
        promote_2(mini.changed(workspace, tmp_path, surface=ask_more))
    assert moved_aliases(workspace) == {"champion": 1}
    assert prepare(workspace).verdict == "promote"


def test_a_release_under_other_contracts_than_are_in_force_is_refused(workspace: Workspace) -> None:
    """Release 1 was made under version 1 of the utility policy."""
    with pytest.raises(GateRefused, match=r"made under another utility\.yaml than is in force now"):
        prepare(workspace, 1)


def test_a_backfilled_release_is_never_promoted_and_moves_no_alias(workspace: Workspace) -> None:
    parts = [Trained(task, 1, 1) for task in workspace.contracts.tasks.order()]
    snapshot = releases.release_manifest(workspace, 1).snapshot.id
    made = release.run(workspace, as_of=AS_OF, snapshot=snapshot, parts=parts, backfill=True)
    Registry(workspace.home).set_tags(releases.release_part(workspace, made.version), {"verdict": "promote"})
    with pytest.raises(ContractError, match="made by a backfill"):
        promote.run(
            workspace,
            release=made.version,
            why="it looks good",
            by=Mover("ana"),
            judge=recheck,
            support=TESTED,
        )
    assert Registry(workspace.home).aliases(MODEL) == {"champion": 1, "challenger": 2}


def test_a_release_that_was_never_judged_is_refused(workspace: Workspace) -> None:
    registry, part = Registry(workspace.home), releases.release_part(workspace, 2)
    verdict = registry.tags(part)["verdict"]
    registry.client.delete_model_version_tag(MODEL, "2", "verdict")
    try:
        with pytest.raises(GateRefused, match="was never judged"):
            promote_2(workspace)
    finally:
        registry.set_tags(part, {"verdict": verdict})


def test_an_airflow_run_moves_when_every_role_approved_what_it_was_shown(workspace: Workspace) -> None:
    approve(workspace, prepare(workspace).evidence, "product", "safety")
    assert promote_2(workspace, run=RUN).moved is not None
    assert moves(workspace)[1:] == [("approve", 1, 2), ("approve", 1, 2), ("promote", 1, 2)]


def test_an_airflow_run_without_every_answer_moves_nothing(workspace: Workspace) -> None:
    approve(workspace, prepare(workspace).evidence, "product")
    with pytest.raises(GateRefused, match="Nobody approved for safety: sam has to answer"):
        promote_2(workspace, run=RUN)
    with pytest.raises(GateRefused, match="Nobody approved for product"):
        promote_2(workspace, run="another run")
    assert moved_aliases(workspace) == {"champion": 1}


def test_an_answer_needs_a_reviewer_of_the_role_and_a_rejection_a_reason(workspace: Workspace) -> None:
    ana, sam = Answer("safety", "ana", True, "e"), Answer("safety", "sam", False, "e", why=" ")
    with pytest.raises(ContractError, match=r"ana is no reviewer of safety; surface\.yaml names sam"):
        promote.answer(workspace, ana, release=2, run=RUN)
    with pytest.raises(ContractError, match="rejects release 2 without a reason"):
        promote.answer(workspace, sam, release=2, run=RUN)
    assert len(moves(workspace)) == 1


def test_a_rejection_is_kept_with_who_and_why_and_nothing_moves(workspace: Workspace) -> None:
    evidence = prepare(workspace).evidence
    approve(workspace, evidence, "product")
    for _ in range(2):  # a step that is repeated says it once
        reply = Answer("safety", "sam", False, evidence, why="reports rose")
        promote.answer(workspace, reply, release=2, run=RUN)
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        promote_2(workspace, run=RUN)
    *_, rejected = release_view.history(workspace)
    assert (rejected["kind"], rejected["by"], rejected["why"]) == ("reject", "sam", "reports rose")
    assert len(moves(workspace)) == 3
    assert moved_aliases(workspace) == {"champion": 1}


def test_an_approval_does_not_outlive_its_evidence(workspace: Workspace) -> None:
    """What was approved beside no champion is not approved beside champion 1."""
    _forget_moves(workspace)
    approve(workspace, prepare(workspace).evidence, "product", "safety")
    releases.alias_moves(workspace).move(
        lambda entries, aliases: Entry(Kind.PROMOTE, "bo", 1, aliases.get("champion"), "first", "e")
    )
    with pytest.raises(GateRefused, match="ana approved for product on other evidence"):
        promote_2(workspace, run=RUN)
    assert moved_aliases(workspace) == {"champion": 1}


def test_a_rollback_goes_back_and_a_second_one_changes_nothing(workspace: Workspace) -> None:
    promote_2(workspace)
    assert rollback.run(workspace, why="returns rose", by="sam").champion == 1
    assert rollback.run(workspace, why="returns rose", by="sam").moved is None
    assert moves(workspace)[1:] == [("promote", 1, 2), ("rollback", 2, 1)]
    assert moved_aliases(workspace) == {"champion": 1, "previous": 1}


def test_an_approved_run_that_is_repeated_after_a_rollback_does_not_promote_again(
    workspace: Workspace,
) -> None:
    approve(workspace, prepare(workspace).evidence, "product", "safety")
    promote_2(workspace, run=RUN)
    rollback.run(workspace, why="returns rose", by="sam")
    assert promote_2(workspace, run=RUN) == MoveResult(1, None)
    assert moved_aliases(workspace)["champion"] == 1


def test_there_is_no_going_back_where_nothing_was_before(untouched: Workspace) -> None:
    with pytest.raises(ContractError, match="no previous release"):
        rollback.run(untouched, why="returns rose", by="sam")


def test_a_release_that_never_served_is_nothing_to_go_back_to(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match="was never champion"):
        rollback.run(workspace, why="returns rose", by="sam", to="2")


def test_an_alias_moved_by_hand_is_noticed_and_a_rollback_puts_it_right(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(workspace.home)
    registry.set_alias(registry.part(MODEL, 2), "champion")
    by_hand = "The registry says champion = 2; by the last audited move it is champion = 1"
    assert release_view.verify(workspace, 2).problems == [f"{by_hand}."]
    plan.run(workspace, as_of=LATER)
    assert f"somebody moved an alias of {NAME} by hand. {by_hand}" in caplog.text
    with pytest.raises(StoreError, match="Put it right with `equipoise rollback home_feed --to VERSION"):
        promote.run(workspace, release=2, why="carts rose", by=Mover("ana"), judge=recheck, support=TESTED)
    registry.set_alias(registry.part(MODEL, 1), "previous")
    with pytest.raises(StoreError, match="Say with --to VERSION"):
        rollback.run(workspace, why="nobody approved it", by="sam")
    assert rollback.run(workspace, why="nobody approved it", by="sam", to="1").champion == 1
    assert release_view.verify(workspace, 1).problems == []
    assert moves(workspace)[1:] == [("rollback", 2, 1)]


def test_a_move_by_hand_can_be_taken_into_the_audit(workspace: Workspace) -> None:
    registry = Registry(workspace.home)
    registry.set_alias(registry.part(MODEL, 2), "champion")
    rollback.run(workspace, why="moved by hand while Airflow was down", by="ana", to="champion")
    assert moves(workspace)[1:] == [("rollback", 2, 2)]
    assert release_view.verify(workspace, 2).problems == []


def test_the_command_line_promotes_rolls_back_and_tells_the_history(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["promote", NAME, "2", "--why", "carts rose", *where]) == 2
    assert "name the online experiment" in capsys.readouterr().err
    words = ["--why", "carts rose", "--by", "ana", "--experiment", "feed-142"]
    assert main(["promote", NAME, "2", *words, *where]) == 0
    assert capsys.readouterr().out == "champion: 1 -> 2 (promote by ana: carts rose)\n"
    assert main(["promote", NAME, "2", *words, *where]) == 0
    assert capsys.readouterr().out == "nothing to do: release 2 is the champion\n"
    assert main(["rollback", NAME, "--why", "returns rose", "--by", "sam", *where]) == 0
    assert capsys.readouterr().out == "champion: 2 -> 1 (rollback by sam: returns rose)\n"
    assert main(["release", "history", NAME, *where]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line[27:] for line in told if line[:4].strip()] == [
        "promote   none -> 1  by ana",
        "promote   1 -> 2  by ana",
        "rollback  2 -> 1  by sam",
    ]
    assert "    experiment: feed-142" in told
