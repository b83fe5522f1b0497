"""The primary metric passes by its one-sided lower bound, and what is inconclusive holds."""

import math
from dataclasses import replace

import pytest

from tasks.contracts.utility import Primary
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Growth, Outcome
from tasks.replay.primary import evaluate_primary, evaluate_primary_segments
from tests.verdicts import subject

MARGIN = Primary()


def _change(value: float, error: float, segment: Segment = ALL) -> Measured:
    half = 1.959964 * error
    return Measured(
        subject=subject("observed_utility"),
        segment=segment,
        reference_model="release 2",
        policy=None,
        baseline=None,
        relative=Estimate(value, value - half, value + half, 900),
    )


WHOLE = _change(0.0, 0.02)


@pytest.mark.parametrize(
    ("value", "error", "outcome"),
    [
        (0.0, 0.03, Outcome.PASS),  # -1.645 x .03 = -4.9 %, where a two-sided bound would be -5.9 %
        (0.0, 0.031, Outcome.INCONCLUSIVE),
        (-0.1, 0.03, Outcome.BLOCK),
        (-0.1, 0.031, Outcome.INCONCLUSIVE),
        (0.2, 0.1, Outcome.PASS),
    ],
)
def test_the_lower_bound_is_one_sided(value: float, error: float, outcome: Outcome) -> None:
    verdict = evaluate_primary(MARGIN, _change(value, error), run="r")
    assert verdict.outcome is outcome
    assert verdict.holds


def test_a_margin_of_few_standard_errors_is_said_with_the_data_that_it_needs() -> None:
    verdict = evaluate_primary(MARGIN, _change(0.0, 0.05), run="r")
    assert "the margin is 1 standard error, and below 2.5" in verdict.reason
    wider = evaluate_primary(MARGIN, _change(0.0, 0.025), run="r")
    assert "the margin is 2 standard errors, and" in wider.reason
    growth = (Growth(days=7, by_day=0.0175, shared=0.0), Growth(days=7, by_day=0.014, shared=0.0001))
    planned = evaluate_primary(MARGIN, replace(_change(0.0, 0.05), growth=growth), run="r")
    assert planned.power is not None
    least = (math.log(0.95) / 2.486485) ** 2  # the variance of the log change that is asked for
    assert planned.power.days_needed == math.ceil(max(0.0175 / least, 0.014 / (least - 0.0001)))


def test_without_a_margin_only_what_is_better_passes() -> None:
    none = Primary(relative_decrease_max=0.0)
    better, equal = (evaluate_primary(none, _change(value, 0.03), run="r") for value in (0.06, 0.0))
    assert (better.outcome, equal.outcome) == (Outcome.PASS, Outcome.INCONCLUSIVE)
    assert str(equal.threshold) == "no fall"
    assert equal.reason.endswith("without a margin only what is better passes")


def test_what_may_not_be_judged_holds() -> None:
    verdict = evaluate_primary(MARGIN, replace(_change(0.3, 0.01), reason="no propensities"), run="r")
    assert (verdict.outcome, verdict.holds, verdict.reason) == (Outcome.INCONCLUSIVE, True, "no propensities")
    assert (verdict.caveat, verdict.power) == ("no propensities", None), "more rows would not tell it"


def test_a_baseline_whose_costs_outweigh_its_gains_is_said_to_have_no_share() -> None:
    lost = Estimate(-0.3, -0.4, -0.2, 900)
    measured = replace(_change(float("nan"), 0.0), baseline=lost)
    verdict = evaluate_primary(MARGIN, measured, run="r")
    assert (verdict.outcome, verdict.holds) == (Outcome.INCONCLUSIVE, True)
    assert verdict.reason.endswith("the baseline is -0.3, and no change is a share of that")


def test_a_segment_that_loses_beyond_twice_the_margin_blocks_and_others_hold_nothing() -> None:
    """An eighth of the users lost 20 % and the release was promoted, as the whole lost 2.5 % alone."""
    eighths = [_change(0.0, 0.05, Segment("region", str(name))) for name in "bcdefgh"]
    lost, *others = evaluate_primary_segments(
        MARGIN, WHOLE, [_change(-0.2, 0.05, Segment("region", "a")), *eighths], {}, run="r"
    )
    assert (lost.outcome, str(lost.threshold), lost.segment) == (
        Outcome.BLOCK,
        "fall of 10.0%",
        Segment("region", "a"),
    )
    assert [one.outcome for one in others] == [Outcome.PASS] * 7
    assert [one.holds for one in (lost, *others)] == [False] * 8


@pytest.mark.parametrize(
    ("value", "error", "outcome"),
    [
        (-0.09, 0.01, Outcome.INCONCLUSIVE),  # a fall for certain, but within twice the margin
        (-0.12, 0.04, Outcome.BLOCK),  # 3 standard errors from no fall: p .0013, times 10 is .013
        (-0.12, 0.05, Outcome.INCONCLUSIVE),  # 2.4 of them: p .008, times 10 is .08
    ],
)
def test_a_segment_blocks_where_neither_its_size_nor_chance_explains_the_fall(
    value: float, error: float, outcome: Outcome
) -> None:
    healthy = [_change(0.0, 0.05, Segment("region", str(name))) for name in range(9)]
    lost, *_ = evaluate_primary_segments(
        MARGIN, WHOLE, [_change(value, error, Segment("region", "a")), *healthy], {}, run="r"
    )
    assert lost.outcome is outcome


def test_a_segment_blocks_where_both_models_predict_a_fall_that_outcomes_are_too_few_for() -> None:
    """At 400 x 14 an eighth of the users has a standard error of 6 %, and one fall of 20 % in three passed."""
    seen = [
        _change(-0.14, 0.06, Segment("region", "a")),
        *(_change(0.0, 0.05, Segment("region", str(name))) for name in "bcdefgh"),
    ]
    alone, believed, mild = (
        evaluate_primary_segments(MARGIN, WHOLE, seen, predicted, run="r")[0]
        for predicted in ({}, {Segment("region", "a"): -0.17}, {Segment("region", "a"): -0.09})
    )
    assert [one.outcome for one in (alone, believed, mild)] == [
        Outcome.INCONCLUSIVE,
        Outcome.BLOCK,
        Outcome.INCONCLUSIVE,
    ]
    assert "each model predicts a fall of at least 17.0%" in believed.reason


def test_a_segment_is_known_no_better_than_its_share_of_the_whole_allows() -> None:
    """A department whose few baskets varied little blocked a release, at a p-value of 2.6e-11."""
    whole = replace(_change(0.0, 0.034), events=15_000)
    lost = replace(_change(-0.103, 0.031, Segment("region", "a")), events=1_500)
    verdicts = [
        evaluate_primary_segments(MARGIN, of, [lost], {}, run="r")[0].outcome
        for of in (whole, replace(whole, relative=None))
    ]
    assert verdicts == [Outcome.INCONCLUSIVE, Outcome.BLOCK]


def test_a_segment_that_may_not_be_judged_blocks_nothing() -> None:
    biased = replace(_change(-0.9, 0.01, Segment("region", "a")), reason="no propensities")
    unknown = replace(biased, reason="nothing seen", relative=None)
    verdicts = evaluate_primary_segments(MARGIN, WHOLE, [biased, unknown], {}, run="r")
    assert [(v.outcome, v.holds) for v in verdicts] == [(Outcome.INCONCLUSIVE, False)] * 2
