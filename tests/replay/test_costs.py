"""A rate that costs: one with an inconclusive interval passes only where the judges see little of it."""

from dataclasses import replace

import pytest

from tasks.contracts.utility import Guardrail
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.replay.costs import evaluate_cost, given_that
from tests.verdicts import subject

RAIL = Guardrail.model_validate(
    {"metric": "hide_rate", "relative_increase_max": 0.15, "by": ["tenure"], "action": "block"}
)
NARROW, WIDE = 0.02, 0.4


def _rate(change: float, half: float = WIDE, *, segment: Segment = ALL, events: int = 80) -> Measured:
    return Measured(
        subject=subject("hide_rate"),
        segment=segment,
        reference_model="release 2",
        policy=Estimate(0.1, 0.09, 0.11, 900),
        baseline=Estimate(0.1, 0.09, 0.11, 900),
        relative=Estimate(change, change - half, change + half, 900),
        events=events,
    )


def _says(change: float, reference_model: str = "release 2", segment: Segment = ALL) -> Measured:
    said = _rate(change, 0.01, segment=segment)
    return replace(said, subject=subject("hide_predicted"), reference_model=reference_model, events=None)


def _whole(rate: Measured, *predicted: Measured) -> tuple[Outcome, bool]:
    verdict = evaluate_cost(RAIL, [rate], predicted, run="r")[0]
    return verdict.outcome, bool(verdict.holds)


def test_what_the_interval_tells_needs_no_judge() -> None:
    assert _whole(_rate(0.0, NARROW))[0] is Outcome.PASS
    assert _whole(_rate(0.3, NARROW))[0] is Outcome.BLOCK


@pytest.mark.parametrize(
    ("change", "own", "others", "holds"),
    [
        (0.10, 0.01, 0.13, False),  # within the bound, and the mean of the judges uses less than half of it
        (0.10, 0.03, 0.13, True),
        (0.10, 0.00, 0.16, True),  # the worse judge alone uses more than all of it
        (0.10, -0.2, 0.14, False),
        (0.10, -0.9, 0.16, True),  # what one judge sees fall takes nothing off the other's rise
        (0.16, 0.00, 0.00, True),  # the point estimate is beyond the bound
    ],
)
def test_what_it_inconclusive_passes_where_estimate_and_judges_agree(
    change: float, own: float, others: float, holds: bool
) -> None:
    judged = _whole(_rate(change), _says(own), _says(others, "champion 1"))
    assert judged == (Outcome.INCONCLUSIVE, holds)


@pytest.mark.parametrize(("change", "holds"), [(0.11, False), (0.12, True)])
def test_judging_together_they_may_use_three_quarters_of_the_bound(change: float, holds: bool) -> None:
    together = replace(_says(change, "release 2 and champion 1"), heads=2)
    assert _whole(_rate(0.1), together) == (Outcome.INCONCLUSIVE, holds)
    assert _whole(_rate(0.1), _says(change)) == (Outcome.INCONCLUSIVE, True)


@pytest.mark.parametrize(("joined", "expected"), [(False, (0.5, 1)), (True, (-0.2, 2))])
def test_a_joint_judge_without_its_parent_takes_the_least(joined: bool, expected: tuple[float, int]) -> None:
    child = replace(_says(0.2, "both"), heads=2)
    parents = [replace(_says(0.5, "both"), heads=2)] if joined else [_says(0.1), _says(-0.2, "champion 1")]
    found = given_that([child], parents)
    assert [(round(one.relative.value, 6), one.heads) for one in found if one.relative] == [expected]


def test_a_guardrail_that_only_warns_never_holds() -> None:
    warns = RAIL.model_copy(update={"action": "warn"})
    beyond, unclear = (
        evaluate_cost(warns, [rate], [_says(0.3)], run="r")[0] for rate in (_rate(0.3, NARROW), _rate(0.3))
    )
    assert (beyond.outcome, beyond.holds) == (Outcome.WARN, None)
    assert (unclear.outcome, unclear.holds) == (Outcome.INCONCLUSIVE, False)


def test_the_reason_says_what_both_judges_see() -> None:
    verdict = evaluate_cost(RAIL, [_rate(0.1)], [_says(-0.2), _says(0.1, "champion 1")], run="r")[0]
    assert verdict.reason == "predicted change +5.0%, by the worse model +10.0%"


def test_a_judge_that_knows_nothing_agrees_to_nothing() -> None:
    unknown = float("nan")
    assert _whole(_rate(0.0), _says(0.0), _says(unknown, "champion 1")) == (Outcome.INCONCLUSIVE, True)
    assert _whole(_rate(0.0), _says(unknown), _says(0.0, "champion 1")) == (Outcome.INCONCLUSIVE, True)


def test_a_constant_head_of_its_own_is_no_witness() -> None:
    """By itself it says 0 % of every slate; the champion's head sees the rise."""
    assert _whole(_rate(0.1), _says(0.0)) == (Outcome.INCONCLUSIVE, False)
    assert _whole(_rate(0.1), _says(0.0), _says(0.23, "champion 1")) == (Outcome.INCONCLUSIVE, True)


def test_without_a_prediction_nobody_agrees() -> None:
    assert _whole(_rate(0.0)) == (Outcome.INCONCLUSIVE, True)


def test_under_twenty_events_the_judges_alone_decide_and_the_verdict_says_so() -> None:
    rare = _rate(0.9, events=19)
    assert _whole(rare, _says(0.05)) == (Outcome.INCONCLUSIVE, False)
    assert _whole(rare, _says(0.10)) == (Outcome.INCONCLUSIVE, True)
    assert evaluate_cost(RAIL, [rare], [_says(0.05)], run="r")[0].reason.startswith("not measurable offline")
    few = _rate(0.5, NARROW, events=19)
    assert _whole(few, _says(0.05)) == (Outcome.INCONCLUSIVE, False)


def test_a_segment_blocks_and_never_holds_by_itself() -> None:
    new = _rate(0.5, NARROW, segment=Segment("tenure", "new"))
    verdicts = evaluate_cost(RAIL, [_rate(0.0), new], [_says(0.0)], run="r")
    assert [v.outcome for v in verdicts] == [Outcome.INCONCLUSIVE, Outcome.BLOCK]
    unclear = _rate(0.2, segment=Segment("tenure", "new"))
    verdicts = evaluate_cost(RAIL, [_rate(0.0), unclear], [_says(0.0)], run="r")
    assert [(v.outcome, v.holds) for v in verdicts] == [(Outcome.INCONCLUSIVE, False)] * 2


@pytest.mark.parametrize(
    ("value", "family", "outcome"),
    [
        (0.28, 1, Outcome.BLOCK),  # 1.7 standard errors of 7.65 % beyond 15 %: p .045
        (0.28, 2, Outcome.INCONCLUSIVE),
        (0.36, 9, Outcome.BLOCK),  # 2.75 of them: p .003, times 9 is .027
        (-0.9, 9, Outcome.PASS),  # no harm
    ],
)
def test_segments_of_a_cost_are_corrected_for_their_own_number_and_on_the_side_of_harm(
    value: float, family: int, outcome: Outcome
) -> None:
    others = [_rate(0.0, 0.05, segment=Segment("tenure", str(name))) for name in range(family - 1)]
    one = _rate(value, 0.15, segment=Segment("tenure", "new"))
    verdicts = evaluate_cost(RAIL, [_rate(0.0, NARROW), one, *others], [_says(0.0)], run="r")
    assert verdicts[1].outcome is outcome
    fall = Guardrail.model_validate({"metric": "hide_rate", "relative_decrease_max": 0.15, "by": ["tenure"]})
    fallen = evaluate_cost(
        fall, [_rate(0.0), _rate(-0.9, 0.15, segment=Segment("tenure", "new"))], [], run="r"
    )
    assert fallen[1].outcome is Outcome.INCONCLUSIVE


def test_a_segment_of_few_events_neither_blocks_nor_counts_in_the_correction() -> None:
    few = [_rate(0.9, 0.15, segment=Segment("tenure", str(name)), events=19) for name in range(20)]
    one = _rate(0.28, 0.15, segment=Segment("tenure", "new"))
    verdicts = evaluate_cost(RAIL, [_rate(0.0, NARROW), one, *few], [_says(0.0)], run="r")
    assert [v.outcome for v in verdicts[1:]] == [Outcome.BLOCK] + [Outcome.INCONCLUSIVE] * 20


def test_the_whole_holds_where_a_judge_sees_more_than_the_bound_in_a_segment() -> None:
    predicted = [_says(0.0), _says(0.16, segment=Segment("tenure", "new"))]
    verdict = evaluate_cost(
        RAIL, [_rate(0.0), _rate(0.0, segment=Segment("tenure", "new"))], predicted, run="r"
    )[0]
    assert verdict.holds
    assert "at most +16.0% in a segment" in verdict.reason


def test_a_bound_on_a_fall_is_no_matter_of_the_judges_of_a_rise() -> None:
    rail = Guardrail.model_validate({"metric": "hide_rate", "relative_decrease_max": 0.15})
    risen, fallen = (evaluate_cost(rail, [_rate(change)], [], run="r")[0] for change in (0.1, -0.2))
    assert (risen.outcome, risen.holds) == (Outcome.INCONCLUSIVE, False)
    assert (fallen.outcome, fallen.holds) == (Outcome.INCONCLUSIVE, True)


def test_an_absolute_bound_holds_where_the_estimate_is_beyond_it() -> None:
    rail = Guardrail.model_validate({"metric": "hide_rate", "max": 0.095})
    (verdict,) = evaluate_cost(rail, [_rate(0.0)], [_says(0.0)], run="r")
    assert (verdict.outcome, verdict.holds) == (Outcome.INCONCLUSIVE, True)


def test_an_absolute_bound_holds_without_an_estimate() -> None:
    rail = Guardrail.model_validate({"metric": "hide_rate", "max": 0.095})
    unknown = replace(_rate(0.0), policy=None, baseline=None, relative=None, reason="no propensities")
    (verdict,) = evaluate_cost(rail, [unknown], [_says(0.0)], run="r")
    assert (verdict.outcome, verdict.holds) == (Outcome.INCONCLUSIVE, True)


def test_a_rate_that_the_log_inconclusive_leaves_the_judges() -> None:
    biased = replace(_rate(0.9), reason="no propensities")
    assert _whole(biased, _says(0.05)) == (Outcome.INCONCLUSIVE, False)
    assert _whole(biased, _says(0.10)) == (Outcome.INCONCLUSIVE, True)
    (verdict,) = evaluate_cost(RAIL, [biased], [_says(0.05)], run="r")
    assert (verdict.caveat, verdict.power) == ("no propensities", None), "more rows would not tell it"


def test_a_cost_that_is_never_trained_is_judged_by_its_interval_and_never_passes_on_few_events() -> None:
    outcomes = [
        evaluate_cost(RAIL, [rate], None, run="r")[0]
        for rate in (_rate(0.0, NARROW), _rate(0.3, NARROW), _rate(0.0), _rate(0.0, NARROW, events=5))
    ]
    assert [one.outcome for one in outcomes] == [
        *(Outcome.PASS, Outcome.BLOCK, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE)
    ]
    assert {one.holds for one in outcomes} == {None}  # gates.inconclusive decides
    assert outcomes[-1].reason == (
        "not measurable offline (5 events): never trained, so no release predicts it"
    )
    warns = RAIL.model_copy(update={"action": "warn"})
    assert evaluate_cost(warns, [_rate(0.0)], None, run="r")[0].holds is False
