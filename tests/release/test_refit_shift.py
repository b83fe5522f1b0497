"""What is served is held where it departs from what was tested by more than the surface allows."""

import pytest

from tasks.evaluation.release_evidence import RefitEvidence, RefitShift
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.release.refit_shift import judge_refit, judge_unrepeated
from tests.verdicts import bound, subject


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (Estimate(0.04, 0.03, 0.05, 900), Outcome.PASS),
        (Estimate(0.30, 0.25, 0.35, 900), Outcome.BLOCK),
        (Estimate(0.10, 0.05, 0.15, 900), Outcome.INCONCLUSIVE),
        (Estimate(0.04, float("nan"), float("nan"), 1), Outcome.INCONCLUSIVE),
    ],
)
def test_a_shift_is_judged_by_its_interval(shift: Estimate, expected: Outcome) -> None:
    one = RefitShift(task="click", segment=Segment("tenure", "new"), shift=shift, bound=0.1)
    [verdict] = judge_refit(RefitEvidence(tested=3, shifts=(one,)), run="r1")
    assert (verdict.outcome, verdict.gate, verdict.segment) == (expected, "model", Segment("tenure", "new"))
    assert (verdict.subject, verdict.threshold, verdict.evidence) == (
        subject("click.refit_shift"),
        bound("<= 0.1"),
        "r1",
    )
    assert "release 3" in verdict.reason


def test_each_shift_is_held_against_its_own_bound() -> None:
    shift = Estimate(0.2, 0.19, 0.21, 900)
    bounds = {"click": 0.1, "buy": 0.25 + 1 / 3000}
    shifts = tuple(RefitShift(task=t, segment=ALL, shift=shift, bound=b) for t, b in bounds.items())
    click, buy = judge_refit(RefitEvidence(tested=3, shifts=shifts), run="r1")
    assert (click.outcome, click.threshold) == (Outcome.BLOCK, bound("<= 0.1"))
    assert (buy.outcome, str(buy.threshold)) == (Outcome.PASS, "<= 0.25")


def test_a_recipe_that_could_not_be_repeated_warns_and_says_why() -> None:
    [verdict] = judge_unrepeated({"click": "No positives."}, run="r1")
    assert (verdict.outcome, verdict.subject) == (Outcome.WARN, subject("click.refit"))
    assert verdict.reason == "what was tested is served. No positives."


def test_a_release_without_a_refit_has_no_shift() -> None:
    assert list(judge_refit(None, run="r1")) == []
