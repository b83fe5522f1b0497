"""On the command line a promotion asks for the approvals that Airflow asks for, unless the surface lets one sign.

The surface of the mini feed lets whoever types a promotion sign alone; here it does not.
"""

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import GateRefused
from tasks.promotion.moves import answers, rollback
from tasks.promotion.moves.answers import Review, Signing, require_answers
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.contracts.files import setting
from tests.feeds import mini
from tests.promotion.moves.moving import approve, moved_aliases, moves, prepared, promote_2

RUN = "manual__2026-02-12T00:00:00+00:00"


@pytest.fixture
def strict(workspace: Workspace, tmp_path: Path) -> Workspace:
    return mini.changed(workspace, tmp_path, surface=setting("promotion", {}))


@functools.cache
def evidence_of(workspace: Workspace) -> str:
    """Return what approvals rest on: the same throughout a test."""
    return prepared(workspace).evidence


def test_without_approvals_the_command_line_moves_nothing_and_says_who_is_missing_and_how_to_ask(
    strict: Workspace,
) -> None:
    with pytest.raises(GateRefused) as raised:
        promote_2(strict)
    said = str(raised.value)
    assert "Nobody approved for product: ana has to review" in said
    assert "Nobody approved for safety: sam has to review" in said
    assert "start the DAG home_feed__promote, where reviewers decide" in said
    assert "equipoise approve" not in said
    assert moved_aliases(strict) == {"champion": 1}


def test_approvals_of_an_airflow_run_for_this_evidence_are_enough_and_the_row_says_who_signed(
    strict: Workspace,
) -> None:
    approve(strict, evidence_of(strict), run=RUN)
    moved = promote_2(strict).moved
    assert moved is not None
    assert (moved.by, moved.signed) == ("ana", "ana for product, sam for safety")
    assert moved_aliases(strict) == {"champion": 2, "previous": 1}


def test_each_role_counts_whatever_run_it_answered_in(strict: Workspace) -> None:
    approve(strict, evidence_of(strict), "product", run=RUN)
    with pytest.raises(GateRefused, match="Nobody approved for safety") as raised:
        promote_2(strict)
    assert "for product" not in str(raised.value)
    approve(strict, evidence_of(strict), "safety")
    assert promote_2(strict).moved is not None


def test_a_reject_after_an_approve_counts_until_the_role_approves_again(strict: Workspace) -> None:
    approve(strict, evidence_of(strict))
    answers.answer(
        strict, Review("safety", "sam", False, evidence_of(strict), "reports rose"), release=2, run=""
    )
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        promote_2(strict)
    for _ in range(2):  # the same once more is said once
        approve(strict, evidence_of(strict), "safety")
    assert len(moves(strict)) == 5
    assert promote_2(strict).moved is not None


def test_what_was_approved_before_a_rollback_does_not_promote_again(strict: Workspace) -> None:
    """The evidence is the same as before the promotion, yet somebody went back from it."""
    approve(strict, evidence_of(strict))
    promote_2(strict)
    rollback.run(strict, why="returns rose", by="sam")
    with pytest.raises(GateRefused, match="Nobody approved for product"):
        promote_2(strict)
    approve(strict, evidence_of(strict))
    assert promote_2(strict).moved is not None


def test_an_airflow_run_is_not_helped_by_answers_of_the_command_line(strict: Workspace) -> None:
    approve(strict, evidence_of(strict))
    with pytest.raises(GateRefused, match="Marking a step success by hand does not approve"):
        promote_2(strict, run=RUN)


def test_one_reviewer_of_every_role_signs_a_promotion_and_no_override_nor_looser_gates() -> None:
    def approved(role: str, by: str, number: int) -> Entry:
        return Entry(Kind.APPROVE, by, 2, 1, "fine", "e" * 64, role=role, number=number)

    both = [approved("product", "ana", 0), approved("safety", "ana", 1)]
    move = Entry(Kind.PROMOTE, "ana", 2, 1, "carts rose", "e" * 64)
    signing = Signing({"product": ("ana",), "safety": ("ana", "sam")}, "", alone=False, apart=False)
    assert signing.sign(move, both).signed == "ana for product, ana for safety"
    apart = replace(signing, apart=True)
    with pytest.raises(GateRefused, match="ana approved for product and safety, but looser gates"):
        apart.sign(move, both)
    assert apart.sign(move, [*both, approved("safety", "sam", 2)]).signed == "ana for product, sam for safety"
    one_role = replace(apart, reviewers={"product": ("ana",)})
    assert one_role.sign(move, both).signed == "ana for product"


REVIEWERS = {"product": ("ana", "bo"), "safety": ("sam",)}
EVIDENCE, OTHER = "e" * 64, "f" * 64
BOTH = (Review("product", "ana", True, EVIDENCE), Review("safety", "sam", True, EVIDENCE))


def test_one_approval_of_each_role_is_enough() -> None:
    assert require_answers(REVIEWERS, BOTH, evidence=EVIDENCE) == BOTH


@pytest.mark.parametrize("missing", [0, 1])
def test_a_role_without_an_answer_is_named_with_its_reviewers(missing: int) -> None:
    role, users = (("product", "ana or bo"), ("safety", "sam"))[missing]
    with pytest.raises(GateRefused, match=f"Nobody approved for {role}: {users} has to review"):
        require_answers(REVIEWERS, BOTH[:missing] + BOTH[missing + 1 :], evidence=EVIDENCE)


def test_a_rejection_is_told_with_who_and_why() -> None:
    answers = (BOTH[0], Review("safety", "sam", False, EVIDENCE, "reports rose"))
    with pytest.raises(GateRefused, match="sam rejects the release for safety: reports rose"):
        require_answers(REVIEWERS, answers, evidence=EVIDENCE)


def test_the_newest_answer_of_a_role_counts() -> None:
    rejected = Review("safety", "sam", False, EVIDENCE, "reports rose")
    require_answers(REVIEWERS, (rejected, *BOTH), evidence=EVIDENCE)
    with pytest.raises(GateRefused, match="rejects"):
        require_answers(REVIEWERS, (*BOTH, rejected), evidence=EVIDENCE)


def test_an_approval_by_somebody_who_is_no_reviewer_of_the_role_is_refused() -> None:
    answers = (BOTH[0], Review("safety", "ana", True, EVIDENCE))
    with pytest.raises(GateRefused, match="ana reviewed for safety, but its reviewers are sam"):
        require_answers(REVIEWERS, answers, evidence=EVIDENCE)


def test_an_approval_of_other_evidence_is_refused() -> None:
    answers = (BOTH[0], Review("safety", "sam", True, OTHER))
    with pytest.raises(GateRefused, match="sam approved for safety on evidence"):
        require_answers(REVIEWERS, answers, evidence=EVIDENCE)
