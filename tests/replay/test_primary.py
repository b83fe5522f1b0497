"""The primary metric passes by its one-sided lower bound, and what cannot be told holds."""

from dataclasses import replace

import pytest

from tasks.contracts.metrics import MetricKind
from tasks.contracts.utility import Primary
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.replay.primary import judge_primary

MARGIN = Primary()


def _change(value: float, error: float) -> Measured:
    half = 1.959964 * error
    return Measured(
        metric="observed_utility",
        segment="all",
        judge="release 2",
        policy=None,
        baseline=None,
        relative=Estimate(value, value - half, value + half, 900),
        kind=MetricKind.OBSERVED_UTILITY,
    )


@pytest.mark.parametrize(
    ("value", "error", "outcome"),
    [
        (0.0, 0.03, Outcome.PASS),  # -1.645 x .03 = -4.9 %, where a two-sided bound would be -5.9 %
        (0.0, 0.031, Outcome.CANNOT_TELL),
        (-0.1, 0.03, Outcome.BLOCK),
        (-0.1, 0.031, Outcome.CANNOT_TELL),
        (0.2, 0.1, Outcome.PASS),
    ],
)
def test_the_lower_bound_is_one_sided(value: float, error: float, outcome: Outcome) -> None:
    verdict = judge_primary(MARGIN, _change(value, error), against="champion 1", run="r")
    assert verdict.outcome is outcome
    assert verdict.holds


def test_a_margin_of_few_standard_errors_is_said_with_the_data_that_it_needs() -> None:
    verdict = judge_primary(MARGIN, _change(0.0, 0.05), against="champion 1", run="r")
    assert "the margin is 1 standard error, and below 2.5" in verdict.reason
    wider = judge_primary(MARGIN, _change(0.0, 0.025), against="champion 1", run="r")
    assert "the margin is 2 standard errors, and" in wider.reason
    assert verdict.power is not None
    assert verdict.power.data_needed == pytest.approx(2.8**2, rel=0.01)


def test_without_a_margin_only_what_is_better_passes() -> None:
    none = Primary(relative_decrease_max=0.0)
    better, equal = (
        judge_primary(none, _change(value, 0.03), against="popularity", run="r") for value in (0.06, 0.0)
    )
    assert (better.outcome, equal.outcome) == (Outcome.PASS, Outcome.CANNOT_TELL)
    assert equal.threshold == "no fall"
    assert equal.reason.endswith("without a margin only what is better passes")


def test_what_may_not_be_judged_holds() -> None:
    verdict = judge_primary(
        MARGIN, replace(_change(0.3, 0.01), reason="no propensities"), against="the log", run="r"
    )
    assert (verdict.outcome, verdict.holds, verdict.reason) == (Outcome.CANNOT_TELL, True, "no propensities")
    assert (verdict.doubt, verdict.power) == ("no propensities", None), "more rows would not tell it"


def test_a_baseline_whose_costs_outweigh_its_gains_is_said_to_have_no_share() -> None:
    lost = Estimate(-0.3, -0.4, -0.2, 900)
    measured = replace(_change(float("nan"), 0.0), baseline=lost)
    verdict = judge_primary(MARGIN, measured, against="champion 1", run="r")
    assert (verdict.outcome, verdict.holds) == (Outcome.CANNOT_TELL, True)
    assert verdict.reason.endswith("the baseline is -0.3, and no change is a share of that")
