"""A release becomes champion for a reason, with its evidence, once.

The second release of the mini feed changes the utility policy of the first.

A reviewer answers on the command line under their own account, where the surface allows it.
"""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tasks.cli import main
from tasks.errors import ContractError, GateRefused, StoreError
from tasks.pipeline import recheck
from tasks.promotion.moves import answers, promote, rollback
from tasks.promotion.moves.answers import Review
from tasks.promotion.moves.promote import ApproveResult, MoveResult, account_name
from tasks.promotion.moves.rules import PromotionSupport
from tasks.release import step as release
from tasks.release import view as release_view
from tasks.release.parts import Trained
from tasks.stores.audit import Entry, Kind, last_move
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME
from tests.promotion.moves.moving import (
    MODEL,
    TESTED,
    approve,
    evaluate_once,
    forget_moves,
    moved_aliases,
    moves,
    prepared,
    promote_2,
)

RUN = "manual__2026-02-12T00:00:00+00:00"


def test_the_champion_becomes_previous_and_one_row_keeps_why_and_by_what_evidence(
    workspace: Workspace,
) -> None:
    request = prepared(workspace, "challenger")
    assert (request.release, request.champion, request.gate.verdict, request.changed) == (
        2,
        1,
        "promote",
        ("utility",),
    )
    result = promote_2(workspace)
    assert moved_aliases(workspace) == {"champion": 2, "previous": 1}
    assert result.champion == 2
    assert result.moved == last_move(workspace.audit.entries())
    assert result.moved is not None
    kept = (result.moved.by, result.moved.why, result.moved.experiment, result.moved.evidence)
    assert kept == ("ana", "carts rose", "feed-142", request.evidence)


def test_the_same_promotion_once_more_is_nothing_to_do(workspace: Workspace) -> None:
    promote_2(workspace)
    assert promote_2(workspace) == MoveResult(2, None)
    assert moves(workspace)[1:] == [("promote", 1, 2)]


def test_evidence_is_the_same_whoever_looks_and_another_beside_another_champion(workspace: Workspace) -> None:
    beside_1 = prepared(workspace).evidence
    assert promote.prepare(workspace, release=2, evaluate_gate=recheck, support=TESTED).evidence == beside_1
    forget_moves(workspace)
    assert prepared(workspace).evidence != beside_1


def test_an_experiment_that_has_a_file_and_no_read_out_supports_nothing(
    workspace: Workspace, tmp_path: Path
) -> None:
    declared = mini.changed(workspace, tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "feed-142.yaml").write_text("experiment: feed-142\n", encoding="utf-8")
    with pytest.raises(GateRefused, match="'feed-142' has no read-out"):
        prepared(declared)


def test_a_changed_policy_is_not_promoted_without_experiment_or_waiver(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match=r"changes utility\.yaml of champion 1"):
        promote_2(workspace, experiment="")
    assert moved_aliases(workspace) == {"champion": 1}


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_moves(workspace: Workspace, why: str) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        promote_2(workspace, why=why)
    assert moved_aliases(workspace) == {"champion": 1}


def test_a_version_that_does_not_exist_is_named(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match="Unknown version '17'"):
        promote_2(workspace, release=17)


def test_a_release_that_the_gates_of_now_hold_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    """The release was let through when it was made; its surface asks for more since."""

    def ask_more(plain: dict[str, Any]) -> None:
        plain["gates"]["data"]["rows"] = 10**9
        plain["gates"]["inconclusive"] = "hold"

    with pytest.raises(GateRefused, match=r"held, compared with champion 1: data: .*: inconclusive"):
        promote_2(mini.changed(workspace, tmp_path, surface=ask_more))
    assert moved_aliases(workspace) == {"champion": 1}
    assert prepared(workspace).gate.verdict == "promote"


def loosen(plain: dict[str, Any]) -> None:
    plain["base_rates"]["click_30m"] = [0.05, 0.3]
    plain["reviewers"]["safety"].append("eve")
    plain["gates"]["data"]["rows"] = 1
    plain["gates"]["freshness"]["newest_training_row"] = "P90D"


LOOSENED = (
    "gates.data.rows 100 -> 1",
    "gates.freshness.newest_training_row P60D -> P90D",
    "base_rates.click_30m to 0.2 -> 0.3",
    "reviewers.safety none -> eve",
)


def test_loosened_gates_ask_for_approvals_and_are_named_everywhere(
    workspace: Workspace, tmp_path: Path
) -> None:
    there = mini.changed(workspace, tmp_path, surface=loosen)
    before = {file: file.read_bytes() for file in workspace.reports.glob("dossier-*")}
    case = prepared(there)
    assert case.gate.loosened == LOOSENED
    assert case.gate.warnings[:4] == tuple(
        f"loosened since the release was made: {bound}" for bound in LOOSENED
    )
    assert case.evidence != prepared(workspace).evidence
    with pytest.raises(
        GateRefused, match=r"surface\.yaml was loosened since release 2 was made: gates\.data\.rows 100"
    ):
        promote_2(there)
    with pytest.raises(GateRefused, match="Nobody approved for product"):
        promote_2(there, run=RUN)
    approve(there, case.evidence, run=RUN)
    moved = promote_2(there, run=RUN).moved
    assert moved is not None
    assert moved.loosened == "; ".join(LOOSENED)
    assert {file: file.read_bytes() for file in before} == before, "no dossier is overwritten"
    written = set(workspace.reports.glob("dossier-*.json")) - before.keys()
    assert any("data.rows 100 -> 1" in file.read_text(encoding="utf-8") for file in written)


def test_who_was_named_a_reviewer_since_the_release_was_made_cannot_approve_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Naming oneself a reviewer is a change of the rules: others have to approve it."""
    there = mini.changed(workspace, tmp_path, surface=loosen)
    evidence = prepared(there).evidence
    with pytest.raises(
        ContractError, match=r"eve became a reviewer for safety after release 2 was made.*: sam may"
    ):
        answers.answer(there, Review("safety", "eve", True, evidence), release=2, run=RUN)
    assert workspace.store.audit(NAME).entries()[1:] == ()


def test_a_role_whose_reviewers_are_all_new_is_answered_for_by_nobody(
    workspace: Workspace, tmp_path: Path
) -> None:
    there = mini.changed(workspace, tmp_path, surface=setting("reviewers.safety", ["eve"]))
    evidence = prepared(there).evidence
    with pytest.raises(ContractError, match=r"nobody may review it\. Retrain to make a release that eve may"):
        answers.answer(there, Review("safety", "eve", True, evidence), release=2, run=RUN)
    approve(there, evidence, "product", run=RUN)
    with pytest.raises(GateRefused, match="Nobody may approve for safety: all of its reviewers were named"):
        promote_2(there, run=RUN)


def test_stricter_gates_ask_for_no_approval_and_replay_nothing_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    prepared(workspace)
    measured = {step: mini.step_runs(workspace, step) for step in ("validate", "simulate", "shadow")}
    stricter = mini.changed(workspace, tmp_path, surface=setting("gates.data.rows", 101))
    assert prepared(stricter).gate.loosened == ()
    assert {step: mini.step_runs(workspace, step) for step in measured} == measured


@pytest.mark.parametrize("step", ["validate", "release", "simulate", "shadow"])
def test_evidence_that_somebody_edited_promotes_nothing(workspace: Workspace, step: str) -> None:
    client = workspace.store.registry.client
    uris = [client.get_run(run).info.artifact_uri for run in mini.step_runs(workspace, step)]
    files = [Path(uri.removeprefix("file://")) / "evidence.json" for uri in uris]
    before = {file: file.read_text(encoding="utf-8") for file in files}
    for file, text in before.items():
        file.write_text(text.replace("1", "0", 1), encoding="utf-8")
    try:
        with pytest.raises(StoreError, match=r"evidence\.json of run .* is not what its step wrote"):
            promote_2(workspace, evaluate_gate=recheck)
    finally:
        for file, text in before.items():
            file.write_text(text, encoding="utf-8")
    assert moved_aliases(workspace) == {"champion": 1}


def test_a_release_under_other_contracts_than_are_in_force_is_refused(workspace: Workspace) -> None:
    """Release 1 was made under version 1 of the utility policy."""
    forget_moves(workspace)
    with pytest.raises(GateRefused, match=r"made under another utility\.yaml than is in force now"):
        prepared(workspace, 1)


def test_a_backfilled_release_is_never_promoted_and_moves_no_alias(workspace: Workspace) -> None:
    parts = [Trained(task, 1, 1) for task in workspace.contracts.tasks.order()]
    snapshot = workspace.releases.manifest(1).snapshot.id
    made = release.run(workspace, as_of=AS_OF, snapshot=snapshot, parts=parts, backfill=True)
    workspace.store.registry.set_tags(workspace.releases.part(made.version), {"verdict": "promote"})
    with pytest.raises(ContractError, match="made by a backfill"):
        promote_2(workspace, release=made.version)
    assert workspace.store.registry.aliases(MODEL) == {"champion": 1, "challenger": 2}


def test_a_release_that_was_never_judged_is_refused(workspace: Workspace) -> None:
    registry, part = workspace.store.registry, workspace.releases.part(2)
    verdict = registry.tags(part)["verdict"]
    registry.client.delete_model_version_tag(MODEL, "2", "verdict")
    try:
        with pytest.raises(GateRefused, match="was never evaluated"):
            promote_2(workspace)
    finally:
        registry.set_tags(part, {"verdict": verdict})


def test_an_airflow_run_moves_when_every_role_approved_what_it_was_shown(workspace: Workspace) -> None:
    approve(workspace, prepared(workspace).evidence, run=RUN)
    assert promote_2(workspace, run=RUN).moved is not None
    assert moves(workspace)[1:] == [("approve", 1, 2), ("approve", 1, 2), ("promote", 1, 2)]


def test_where_an_answer_is_missing_or_rejects_the_release_is_not_even_judged(workspace: Workspace) -> None:
    evidence = prepared(workspace).evidence
    with pytest.raises(GateRefused, match=r"product: ana has to review.*safety: sam has to review"):
        promote_2(workspace, run=RUN, evaluate_gate=never)
    approve(workspace, evidence, "product", run=RUN)
    with pytest.raises(GateRefused, match="Nobody approved for safety: sam has to review"):
        promote_2(workspace, run=RUN, evaluate_gate=never)
    with pytest.raises(GateRefused, match="Nobody approved for product"):
        promote_2(workspace, run="another run", evaluate_gate=never)
    reply = Review("safety", "sam", False, evidence, why="reports rose")
    answers.answer(workspace, reply, release=2, run=RUN)
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        promote_2(workspace, run=RUN, evaluate_gate=never)


def never(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("it was evaluated")


def test_a_promotion_that_waited_for_another_begins_anew_and_writes_nothing_where_nothing_is_to_do(
    workspace: Workspace,
) -> None:
    before = {file: file.read_bytes() for file in workspace.reports.glob("dossier-*")}
    with ThreadPoolExecutor(2) as pool:
        with workspace.store.alone(f"{NAME}.promotion", doing="promoting"):
            moving = pool.submit(promote_2, workspace, evaluate_gate=never)
            showing = pool.submit(promote.prepare, workspace, release=2, evaluate_gate=never, support=TESTED)
            time.sleep(0.5)
            workspace.aliases.add(
                lambda entries, aliases: Entry(Kind.PROMOTE, "bo", 2, aliases.get("champion"), "first", "e")
            )
        assert moving.result() == MoveResult(2, None)
        with pytest.raises(GateRefused, match="is the champion already"):
            showing.result()
    assert {file: file.read_bytes() for file in workspace.reports.glob("dossier-*")} == before


def test_an_answer_needs_a_reviewer_of_the_role_and_a_rejection_a_reason(workspace: Workspace) -> None:
    ana, sam = Review("safety", "ana", True, "e"), Review("safety", "sam", False, "e", why=" ")
    with pytest.raises(ContractError, match=r"ana is not a reviewer for safety; surface\.yaml names sam"):
        answers.answer(workspace, ana, release=2, run=RUN)
    with pytest.raises(ContractError, match="rejects release 2 without a reason"):
        answers.answer(workspace, sam, release=2, run=RUN)
    assert len(moves(workspace)) == 1


def test_a_role_that_no_surface_has_is_named_with_those_that_it_has(workspace: Workspace) -> None:
    with pytest.raises(ContractError, match=r"Unknown role 'saftey' .*Did you mean 'safety'"):
        answers.answer(workspace, Review("saftey", "sam", True, "e" * 64), release=2, run=RUN)


def test_a_rejection_is_kept_with_who_and_why_and_nothing_moves(workspace: Workspace) -> None:
    evidence = prepared(workspace).evidence
    approve(workspace, evidence, "product", run=RUN)
    for _ in range(2):  # a step that is repeated says it once
        reply = Review("safety", "sam", False, evidence, why="reports rose")
        answers.answer(workspace, reply, release=2, run=RUN)
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        promote_2(workspace, run=RUN)
    *_, rejected = release_view.history(workspace)
    assert (rejected["kind"], rejected["by"], rejected["why"]) == ("reject", "sam", "reports rose")
    assert len(moves(workspace)) == 3
    assert moved_aliases(workspace) == {"champion": 1}


def test_a_role_that_nobody_answered_for_in_time_is_one_row_of_the_audit_and_moves_nothing(
    workspace: Workspace,
) -> None:
    evidence = prepared(workspace).evidence
    approve(workspace, evidence, "product", run=RUN)
    for _ in range(2):  # a step that is repeated says it once
        answers.time_out(workspace, "safety", release=2, evidence=evidence, run=RUN, waited=timedelta(days=3))
    *_, unanswered = release_view.history(workspace)
    found = (unanswered["kind"], unanswered["by"], unanswered["role"], unanswered["why"])
    assert found == ("time-out", "nobody", "safety", "no review within 3 days")
    assert (unanswered["to"], unanswered["evidence"], unanswered["run"]) == (2, evidence, RUN)
    assert len(moves(workspace)) == 3
    with pytest.raises(GateRefused, match="Nobody approved for safety: sam has to review"):
        promote_2(workspace, run=RUN)
    assert moved_aliases(workspace) == {"champion": 1}


def test_who_answers_when_asked_again_after_a_time_out_has_answered(workspace: Workspace) -> None:
    evidence = prepared(workspace).evidence
    answers.time_out(workspace, "safety", release=2, evidence=evidence, run=RUN, waited=timedelta(days=3))
    approve(workspace, evidence, run=RUN)
    assert promote_2(workspace, run=RUN).moved is not None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (TESTED, "because"),
        (PromotionSupport("feed-143"), TESTED.why),
        (PromotionSupport(waiver="a duty"), TESTED.why),
    ],
    ids=["reason", "experiment", "waiver"],
)
def test_an_approval_is_for_the_experiment_the_waiver_and_the_reason_that_were_shown(
    workspace: Workspace, asked: PromotionSupport, why: str
) -> None:
    approve(workspace, prepared(workspace).evidence, run=RUN)
    with pytest.raises(GateRefused, match="on evidence"):
        promote_2(workspace, run=RUN, **(vars(asked) | {"why": why}))
    assert promote_2(workspace, run=RUN).moved is not None


def test_an_approval_does_not_outlive_its_evidence(workspace: Workspace) -> None:
    """What was approved beside no champion is not approved beside champion 1."""
    forget_moves(workspace)
    approve(workspace, prepared(workspace).evidence, run=RUN)
    workspace.aliases.add(
        lambda entries, aliases: Entry(Kind.PROMOTE, "bo", 1, aliases.get("champion"), "first", "e")
    )
    with pytest.raises(GateRefused, match="ana approved for product on evidence"):
        promote_2(workspace, run=RUN)
    assert moved_aliases(workspace) == {"champion": 1}


def test_an_approved_run_that_is_repeated_after_a_rollback_does_not_promote_again(
    workspace: Workspace,
) -> None:
    approve(workspace, prepared(workspace).evidence, run=RUN)
    promote_2(workspace, run=RUN)
    rollback.run(workspace, why="returns rose", by="sam")
    assert promote_2(workspace, run=RUN) == MoveResult(1, None)
    assert moved_aliases(workspace)["champion"] == 1


def test_the_command_line_promotes_rolls_back_and_tells_the_history(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["promote", NAME, "2", "--why", "carts rose", *where]) == 2
    assert "name the online experiment" in capsys.readouterr().err
    words = ["--why", "carts rose", "--by", "ana", "--experiment", "feed-142"]
    assert main(["promote", NAME, "2", *words, *where]) == 0
    moved = "champion: 1 -> 2 (promote by ana: carts rose)\nsigned: ana alone, for product and safety\n"
    assert capsys.readouterr().out == moved
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


def test_a_release_that_only_shares_the_number_of_the_champion_is_not_promoted(workspace: Workspace) -> None:
    """MLflow's database was lost and the audit kept: release 2 of then is another than release 2 of now."""
    forget_moves(workspace)
    audit = workspace.store.audit(NAME)
    then = Entry(Kind.PROMOTE, "ana", 2, None, "the champion of then", "e", sha256="f" * 64)
    audit.append(then, seen=audit.read())
    for promotion in (lambda: promote_2(workspace), lambda: prepared(workspace)):
        with pytest.raises(StoreError, match="names row 0 of the audit"):
            promotion()
    assert moved_aliases(workspace) == {}


@pytest.mark.parametrize("by", [" ", "", "ana\n   7  2026-07-06 08:11:02  promote"])
def test_nobody_and_a_row_of_the_history_are_no_names(workspace: Workspace, by: str) -> None:
    with pytest.raises(ContractError, match="'by'"):
        promote_2(workspace, by=by)
    with pytest.raises(ContractError, match="'by'"):
        rollback.run(workspace, why="returns rose", by=by)
    assert len(moves(workspace)) == 1


@pytest.fixture
def there(workspace: Workspace, tmp_path: Path) -> Workspace:
    return mini.changed(
        workspace, tmp_path, surface=setting("promotion", {"approvals_on_command_line": "by_account"})
    )


def reply(workspace: Workspace, by: str, role: str, **said: Any) -> ApproveResult:
    given = Review(role, by, **{"approves": True, "evidence": "", "why": "it is sound", **said})
    return promote.approve(
        workspace, given, release="challenger", support=TESTED, evaluate_gate=evaluate_once
    )


def test_each_reviewer_answers_and_then_the_command_line_promotes(there: Workspace) -> None:
    with pytest.raises(
        GateRefused, match="let each type `equipoise approve home_feed 2 --role ROLE --why TEXT"
    ) as asked:
        promote_2(there)
    assert "--promotion-why 'carts rose' --experiment feed-142" in str(asked.value)
    first, second = reply(there, "ana", "product"), reply(there, "sam", "safety")
    assert (first.release, first.champion, first.evidence) == (2, 1, second.evidence)
    moved = promote_2(there).moved
    assert moved is not None
    assert moved.signed == "ana for product, sam for safety"
    kept = Store.open(there.home).audit(NAME).entries()[1]
    assert (kept.kind, kept.by, kept.role, kept.why, kept.run) == (
        Kind.APPROVE, "ana", "product", "it is sound", "",
    )  # fmt: skip


def test_the_name_is_the_accounts_own_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "sam")
    own = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    assert account_name() == own


def test_an_account_that_is_no_reviewers_answers_nothing(
    there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(there.surfaces), "--home", str(there.home)]
    assert main(["approve", NAME, "2", "--role", "safety", "--why", "it is sound", *where]) == 2
    assert f"{account_name()} is not a reviewer for safety; surface.yaml names sam" in capsys.readouterr().err
    assert len(moves(there)) == 1


def test_a_surface_that_allows_none_takes_none(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="takes no approvals on the command line"):
        reply(mini.changed(workspace, tmp_path, surface=setting("promotion", {})), "ana", "product")


@pytest.mark.parametrize("why", ["", " \n"])
def test_an_answer_needs_a_reason(there: Workspace, why: str) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        reply(there, "ana", "product", why=why)


def test_a_reviewer_who_names_what_they_saw_does_not_approve_anything_else(there: Workspace) -> None:
    seen = reply(there, "ana", "product").evidence
    with pytest.raises(GateRefused, match=r"is .* now, not 000000: review it again"):
        reply(there, "sam", "safety", evidence="000000")
    assert reply(there, "sam", "safety", evidence=seen[:12]).evidence == seen


def test_a_reviewer_may_say_no(there: Workspace) -> None:
    reply(there, "ana", "product")
    reply(there, "sam", "safety", approves=False, why="reports rose")
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        promote_2(there)
