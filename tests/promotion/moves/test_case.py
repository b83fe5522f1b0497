"""The case of a promotion: refused early where the move would refuse, and shown as what it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import ContractError, GateRefused
from tasks.pipeline import recheck
from tasks.promotion.moves import case as promotion_case
from tasks.promotion.moves.case import RequestedPromotion
from tasks.promotion.moves.rules import PromotionSupport
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.mini import NAME, Retrained, step_runs

TESTED = PromotionSupport(experiment="feed-142")
RUN = "manual__2026-02-12T00:00:00+00:00"


@pytest.fixture(scope="module")
def case(second_retrain: Retrained) -> RequestedPromotion:
    """The case of release 2, which changes the utility policy of champion 1."""
    return promotion_case.make(
        second_retrain.workspace, release=2, why="carts rose", support=TESTED, judge=recheck
    )


def page(workspace: Workspace, case: RequestedPromotion) -> str:
    return promotion_case.show(
        workspace,
        release=case.release,
        evidence=case.evidence,
        why="carts rose",
        support=TESTED,
        links={"dossier": "http://mlflow/7"},
    )


def test_a_case_is_about_a_release_beside_the_champion_with_the_gates_last_run(
    second_retrain: Retrained, case: RequestedPromotion
) -> None:
    assert (case.release, case.champion) == (2, 1)
    assert case.run_id == step_runs(second_retrain.workspace, "gate", release=2)[-1]


def test_what_the_move_would_refuse_is_refused_before_anybody_is_asked(second_retrain: Retrained) -> None:
    with pytest.raises(ContractError, match="needs a reason"):
        promotion_case.make(second_retrain.workspace, release=2, why=" ", support=TESTED, judge=recheck)
    with pytest.raises(ContractError, match="name the online experiment"):
        promotion_case.make(
            second_retrain.workspace, release=2, why="carts rose", support=PromotionSupport(), judge=recheck
        )


def test_its_page_shows_the_verdict_the_change_its_support_and_the_evidence(
    second_retrain: Retrained, case: RequestedPromotion
) -> None:
    told = page(second_retrain.workspace, case).splitlines()
    assert told[0].startswith("**promote**, compared with champion 1: ")
    assert told[2].startswith("observed utility ")
    assert "It changes utility.yaml. Supported by the experiment feed-142." in told
    assert "| policy | click_30m 0.8 -> 1.6 |" in told
    assert "| models | click_30m is new, 5 are the champion's |" in told
    assert any(
        row.startswith("| hide_2d rate: events per examined impression: people hid it | ") for row in told
    ), "the guardrails"
    (unharmed,) = [row for row in told if row.startswith("No segment is harmed beyond its limit.")]
    assert unharmed.endswith(" 3 of 9 evaluated segments have inconclusive verdicts.")
    assert "[dossier](http://mlflow/7)" in told
    assert told[-1] == f"Evidence `{case.evidence}`"
    assert len(told) <= 40


def test_of_other_evidence_nothing_is_shown(second_retrain: Retrained, case: RequestedPromotion) -> None:
    other = replace(case, evidence="f" * 64)
    with pytest.raises(GateRefused, match="has changed since its case was made"):
        page(second_retrain.workspace, other)


def test_who_agreed_is_read_from_the_newest_answers_of_the_run(tmp_path: Path) -> None:
    workspace, audit = Workspace.open(NAME, home=tmp_path), Store.open(tmp_path).audit(NAME)
    for kind, by, role, run in (
        (Kind.APPROVE, "sam", "safety", RUN),
        (Kind.APPROVE, "ana", "product", RUN),
        (Kind.APPROVE, "bo", "legal", RUN),
        (Kind.REJECT, "bo", "legal", RUN),
        (Kind.APPROVE, "max", "product", "another run"),
    ):
        audit.append(Entry(kind, by, 2, 1, "why", "e", role=role, run=run), seen=audit.read())
    assert promotion_case.approvers(workspace, release=2, run=RUN) == "ana, sam"
    assert promotion_case.approvers(workspace, release=3, run=RUN) == ""
