import pytest

from tasks.errors import GateRefused
from tasks.promotion.moves.approvals import Review, require_answers

REVIEWERS = {"product": ("ana", "bo"), "safety": ("sam",)}
EVIDENCE, OTHER = "e" * 64, "f" * 64
BOTH = (Review("product", "ana", True, EVIDENCE), Review("safety", "sam", True, EVIDENCE))


def test_one_approval_of_each_role_is_enough() -> None:
    assert require_answers(REVIEWERS, BOTH, evidence=EVIDENCE) == BOTH


@pytest.mark.parametrize("missing", [0, 1])
def test_a_role_without_an_answer_is_named_with_its_reviewers(missing: int) -> None:
    role, users = (("product", "ana or bo"), ("safety", "sam"))[missing]
    with pytest.raises(GateRefused, match=f"Nobody approved for {role}: {users} has to answer"):
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
    with pytest.raises(GateRefused, match="ana answered for safety; its reviewers are sam"):
        require_answers(REVIEWERS, answers, evidence=EVIDENCE)


def test_an_approval_of_other_evidence_is_refused() -> None:
    answers = (BOTH[0], Review("safety", "sam", True, OTHER))
    with pytest.raises(GateRefused, match="sam approved for safety on other evidence"):
        require_answers(REVIEWERS, answers, evidence=EVIDENCE)
