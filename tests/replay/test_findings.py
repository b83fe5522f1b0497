"""Of all that a replay measured, what the run and the dossier show first."""

import math
from dataclasses import replace

from tasks.evaluation.replay_evidence import Headline, Measured
from tasks.evaluation.verdicts import Estimate
from tasks.replay.findings import Findings
from tests.verdicts import subject

RATE = Measured(
    subject=subject("click_rate"),
    segment="all",
    judge="release 1",
    policy=Estimate(0.1, 0.08, 0.12, 900),
    baseline=Estimate(0.2, 0.18, 0.22, 900),
    relative=Estimate(-0.5, -0.6, -0.4, 900),
)
UTILITY = replace(
    RATE,
    subject=subject("expected_utility"),
    policy=Estimate(3.0, 2.0, 4.0, 900),
)


def _found(*measured: Measured) -> Findings:
    return Findings("logged order", [], list(measured), {})


def test_the_headline_holds_rates_and_expected_utility_beside_the_baseline() -> None:
    headline = _found(RATE, UTILITY).headline
    assert list(headline) == ["click_rate", "expected_utility"]
    assert headline["click_rate"] == Headline(
        policy=Estimate(0.1, 0.08, 0.12, 900),
        baseline=Estimate(0.2, 0.18, 0.22, 900),
        relative=Estimate(-0.5, -0.6, -0.4, 900),
    )


def test_segments_other_metrics_and_what_was_not_measured_stay_out_of_the_headline() -> None:
    segment = replace(RATE, segment="tenure=new")
    coverage = replace(RATE, subject=subject("coverage"))
    unknown = replace(RATE, policy=None, reason="no slot has a label")
    assert _found(segment, coverage, unknown).headline == {}


def test_the_expected_utility_is_that_of_the_policy() -> None:
    assert _found(RATE, UTILITY).expected_utility == 3.0


def test_without_a_measured_utility_the_expected_utility_is_not_a_number() -> None:
    assert math.isnan(_found(RATE, replace(UTILITY, policy=None)).expected_utility)
