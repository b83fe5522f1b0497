"""A guardrail is judged in every segment by the interval of what was measured, and the worse verdict stands.

The primary metric passes by its one-sided lower bound, and what is inconclusive holds.
"""

import math
from dataclasses import replace
from typing import Any

import pytest

from tasks.contracts.utility import Guardrail, Primary
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Growth, Outcome, Verdict
from tasks.replay.guardrails import evaluate_guardrail, evaluate_primary, evaluate_primary_segments
from tasks.replay.replay_policies import Replay
from tests.replay.worlds import LOGGED, metric, page, slates, whole
from tests.verdicts import subject

RATE = Measured(
    subject=subject("hide_rate"),
    segment=ALL,
    reference_model="release 2",
    policy=Estimate(0.10, 0.09, 0.11, 900),
    baseline=Estimate(0.08, 0.07, 0.09, 900),
    relative=Estimate(0.25, 0.20, 0.30, 900),
)


def judged(*measured: Measured, run: str = "r", **bounds: Any) -> list[Verdict]:
    """Evaluate a guardrail on the metric of the first figure."""
    rail = Guardrail.model_validate({"metric": measured[0].subject.name, **bounds})
    return evaluate_guardrail(rail, measured, run=run)


def test_predicted_is_measured_by_both_releases() -> None:
    policy = slates("challenger", [1, 0, 0, 1, 0, 0], {"click": [0.1, 0.2, 0.1, 0.1, 0.2, 0.1]})
    baseline = slates("champion", [0, 1, 0, 0, 1, 0], {"click": [0.3, 0.1, 0.1, 0.3, 0.1, 0.1]})
    measured = Replay(page(), policy).measure(metric("click_predicted"), policy, baseline, ())
    assert [(m.reference_model, m.relative and round(m.relative.value, 6)) for m in measured] == [
        ("challenger", -0.5),
        ("champion", 2.0),
    ]


def test_of_two_judges_the_worse_decides() -> None:
    own = replace(RATE, subject=subject("hide_predicted"), relative=Estimate(-0.5, -0.6, -0.4, 900))
    champion = replace(own, reference_model="champion 1", relative=Estimate(0.25, 0.2, 0.3, 900))
    (verdict,) = judged(own, champion, relative_increase_max=0.05)
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason == "model-judged, by champion 1"


def test_the_verdict_on_a_belief_prints_no_interval() -> None:
    """Such an interval says how candidates vary, and nothing of how wrong the model is."""
    belief = replace(RATE, subject=subject("hide_predicted"), segment=Segment("tenure", "new"))
    (verdict,) = judged(belief, relative_increase_max=0.05)
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.observed is not None
    assert not verdict.observed.known
    assert verdict.power is None


def test_an_improvement_may_be_demanded_and_no_change_is_none() -> None:
    same = replace(RATE, relative=Estimate(0.0, 0.0, 0.0, 900))
    worse = replace(RATE, relative=Estimate(-0.2, -0.3, -0.1, 900))
    outcomes = [judged(one, relative_increase_min=0.0)[0].outcome for one in (RATE, same, worse)]
    assert outcomes == [Outcome.PASS, Outcome.PASS, Outcome.BLOCK]


def test_power_stands_beside_a_bound_of_a_change() -> None:
    growth = (Growth(days=7, by_day=0.0294, shared=0.0),)
    wide = replace(RATE, relative=Estimate(0.0, -0.14, 0.14, 900), growth=growth)
    (verdict,) = judged(wide, relative_increase_max=0.1)
    assert verdict.power is not None
    assert verdict.power.detectable == pytest.approx(0.2, rel=0.01)
    assert (verdict.power.days, verdict.power.days_needed) == (7, 21)  # .0294 / (ln 1.1 / 2.486)^2 = 20.0004


def test_a_figure_without_an_interval_says_what_it_takes() -> None:
    few = replace(RATE, relative=Estimate(0.0, math.nan, math.nan, 12), events=4)
    (verdict,) = judged(few, relative_increase_max=0.1)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason.startswith("no interval: 12 users and 4 events")


def test_one_of_twenty_segments_blocks_only_beyond_what_chance_does_among_twenty() -> None:
    equal = replace(RATE, relative=Estimate(0.0, -0.1, 0.1, 90))
    odd = replace(RATE, segment=Segment("tenure", "odd"), relative=Estimate(0.21, 0.105, 0.315, 90))
    worse = replace(odd, relative=Estimate(0.5, 0.4, 0.6, 90))
    many = [equal, *(replace(equal, segment=Segment("tenure", str(i))) for i in range(19))]
    last = [
        judged(*family, relative_increase_max=0.1)[-1].outcome
        for family in ((equal, odd), (*many, odd), (*many, worse))
    ]
    assert last == [Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.BLOCK]


def test_a_rate_of_zero_in_the_baseline_inconclusive_a_relative_change() -> None:
    measured = whole(
        "click_rate", page(labels=[0, 1, 0, 0, 0, 1]), slates("p", LOGGED), slates("b", [1, 0, 0, 1, 0, 0])
    )
    assert judged(measured, relative_increase_max=0.05)[0].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("action", ["block", "warn"])
def test_what_the_baseline_never_showed_may_not_rise_by_a_share_of_nothing(action: str) -> None:
    none, some, maybe = (Estimate(v, v - h, v + h, 900) for v, h in ((0.0, 0.0), (0.4, 0.05), (0.01, 0.02)))
    unknown = Estimate(math.nan, math.nan, math.nan, 900)
    ads = replace(RATE, subject=subject("source_share:ads"), relative=unknown)
    figures = [replace(ads, policy=policy, baseline=none, events=None) for policy in (some, maybe, none)]
    verdicts = [judged(one, relative_increase_max=0.1, action=action)[0] for one in figures]
    assert [v.outcome.value for v in verdicts] == [action, "inconclusive", "inconclusive"]
    assert verdicts[0].reason == "the baseline is 0, and no change is a share of that"


def test_not_one_outcome_seen_is_no_proof_of_a_low_rate() -> None:
    measured = whole("click_rate", page(labels=[0.0] * 6), slates("p", LOGGED), slates("b", LOGGED))
    assert judged(measured, max=0.1)[0].outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("bound", "outcome", "threshold"),
    [
        ({"max": 0.12}, Outcome.PASS, "<= 0.12"),
        ({"max": 0.10}, Outcome.INCONCLUSIVE, "<= 0.1"),
        ({"max": 0.08}, Outcome.BLOCK, "<= 0.08"),
        ({"min": 0.12}, Outcome.BLOCK, ">= 0.12"),
        ({"relative_increase_max": 0.15}, Outcome.BLOCK, "rise of 15.0%"),
        ({"relative_decrease_max": 0.15}, Outcome.PASS, "fall of 15.0%"),
    ],
)
def test_a_bound_is_held_against_the_whole_interval(
    bound: dict[str, Any], outcome: Outcome, threshold: str
) -> None:
    (verdict,) = judged(RATE, run="run-1", **bound)
    assert (verdict.outcome, str(verdict.threshold), verdict.evidence) == (outcome, threshold, "run-1")
    assert verdict.relative is threshold.endswith("%")


def test_a_guardrail_that_only_warns_never_blocks() -> None:
    assert judged(RATE, max=0.08, action="warn")[0].outcome is Outcome.WARN


def test_each_segment_has_one_verdict_in_the_order_in_which_it_was_measured() -> None:
    new = replace(RATE, segment=Segment("tenure", "new"), policy=Estimate(0.2, 0.18, 0.22, 90))
    verdicts = judged(RATE, new, replace(RATE, reference_model="champion 1"), max=0.12)
    assert [(v.segment, v.outcome) for v in verdicts] == [
        (ALL, Outcome.PASS),
        (Segment("tenure", "new"), Outcome.BLOCK),
    ]


def test_a_verdict_on_a_pool_names_what_it_pools() -> None:
    pool = replace(RATE, segment=Segment("source", "other"), pooled=("ads", "mail"))
    (verdict,) = judged(pool, relative_increase_max=0.05)
    assert (verdict.outcome, verdict.reason) == (Outcome.BLOCK, "pools 2 sparse values: ads, mail")
    (verdict,) = judged(replace(pool, pooled=tuple("abcdefghijk")), relative_increase_max=0.05)
    assert verdict.reason == "pools 11 sparse values: a, b, c, d, e, f, g, h and 3 more"


@pytest.mark.parametrize(
    ("bound", "threshold"),
    [
        ({"relative_increase_max": 2.0}, "rise of 200%"),
        ({"relative_increase_max": 0.0}, "no rise"),
        ({"relative_decrease_max": 0.0}, "no fall"),
        ({"relative_increase_min": 0.025}, "rise of 2.5% or more"),
    ],
)
def test_a_bound_on_a_change_is_said_with_three_digits_at_most(bound: dict[str, Any], threshold: str) -> None:
    assert judged(RATE, **bound)[0].threshold.words == threshold


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
HEALTHY = [_change(0.0, 0.05, Segment("region", name)) for name in "bcdefgh"]


def harmed(value: float, error: float) -> Measured:
    return _change(value, error, Segment("region", "a"))


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
    lost, *others = evaluate_primary_segments(MARGIN, WHOLE, [harmed(-0.2, 0.05), *HEALTHY], {}, run="r")
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
    ten = [harmed(value, error), *HEALTHY, *HEALTHY[:2]]
    lost, *_ = evaluate_primary_segments(MARGIN, WHOLE, ten, {}, run="r")
    assert lost.outcome is outcome


def test_a_segment_blocks_where_both_models_predict_a_fall_that_outcomes_are_too_few_for() -> None:
    """At 400 x 14 an eighth of the users has a standard error of 6 %, and one fall of 20 % in three passed."""
    seen = [harmed(-0.14, 0.06), *HEALTHY]
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
    lost = replace(harmed(-0.103, 0.031), events=1_500)
    verdicts = [
        evaluate_primary_segments(MARGIN, of, [lost], {}, run="r")[0].outcome
        for of in (whole, replace(whole, relative=None))
    ]
    assert verdicts == [Outcome.INCONCLUSIVE, Outcome.BLOCK]


def test_a_segment_that_may_not_be_judged_blocks_nothing() -> None:
    biased = replace(harmed(-0.9, 0.01), reason="no propensities")
    unknown = replace(biased, reason="nothing seen", relative=None)
    verdicts = evaluate_primary_segments(MARGIN, WHOLE, [biased, unknown], {}, run="r")
    assert [(v.outcome, v.holds) for v in verdicts] == [(Outcome.INCONCLUSIVE, False)] * 2
