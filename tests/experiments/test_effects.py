"""The decision of an experiment: what ships, what holds, what stops."""

import math
from datetime import date

import pytest

from tasks.evaluation.subjects import ALL, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.experiments.effects import decide
from tasks.experiments.evidence import MetricReadout

RISE = Threshold(high=0.1)


def verdict(outcome: Outcome, *, holds: bool, segment: Segment = ALL) -> Verdict:
    seen = Estimate(0.0, -0.1, 0.1, 900)
    return Verdict("decision", Subject("rate", task="hide"), segment, outcome, RISE, seen, holds=holds)


def metric(
    name: str, outcome: Outcome, *, critical: bool = False, final: bool = True, harmed: bool = False
) -> MetricReadout:
    harm = (verdict(Outcome.BLOCK, holds=critical, segment=Segment("tenure", "new")),) if harmed else ()
    return MetricReadout(
        metric=name,
        critical=critical,
        primary=False,
        final=final,
        mature_on=date(2026, 3, 9),
        effect=None,
        change=None,
        verdicts=(verdict(outcome, holds=critical),),
        segments=harm,
        detectable=math.nan,
    )


GOOD = metric("click_rate", Outcome.PASS, critical=True)

DECISIONS = {
    "all pass": ([GOOD], "ship", ()),
    "another guardrail is inconclusive": ([GOOD, metric("hide_rate", Outcome.INCONCLUSIVE)], "ship", ()),
    "a critical guardrail is inconclusive": (
        [GOOD, metric("hide_rate", Outcome.INCONCLUSIVE, critical=True)],
        "hold",
        ("hide_rate is inconclusive",),
    ),
    "another guardrail is broken": (
        [GOOD, metric("hide_rate", Outcome.BLOCK)],
        "hold",
        ("hide_rate is beyond its bound",),
    ),
    "a segment is harmed": (
        [GOOD, metric("hide_rate", Outcome.PASS, harmed=True)],
        "hold",
        ("hide_rate harms tenure=new",),
    ),
    "a critical guardrail is broken": (
        [GOOD, metric("hide_rate", Outcome.BLOCK, critical=True)],
        "stop",
        ("hide_rate is beyond its bound",),
    ),
    "it is broken before the end": (
        [metric("hide_rate", Outcome.BLOCK, critical=True, final=False)],
        "stop",
        ("hide_rate is beyond its bound at an always-valid level",),
    ),
    "labels mature": (
        [GOOD, metric("hide_rate", Outcome.PASS, critical=True, final=False)],
        "continue",
        ("hide_rate is mature on 2026-03-09",),
    ),
    "a bound was not measured": (
        [metric("hide_rate", Outcome.METRIC_MISSING, critical=True)],
        "hold",
        ("hide_rate is not measured",),
    ),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_the_decision_follows_the_declared_rule(name: str) -> None:
    readouts, decision, reasons = DECISIONS[name]
    assert decide(readouts) == (decision, reasons)
