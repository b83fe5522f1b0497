"""F1: one mixed label is a click label, and a click ranker shows what people hide."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.listed import CLICKS
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_a_mixed_label_of_any_engagement_is_the_click(failure_world: FailureWorld) -> None:
    parts = ["click_30m", "dwell_60s_1d", "purchase_7d"]
    labels = failure_world.data.candidates[parts].dropna()
    assert (labels.max(axis=1) == labels["click_30m"]).mean() > 0.999


def test_clicks_rise_while_hides_rise_and_satisfied_visits_fall(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    failure = shown["F1"]
    assert failure_world.compare(CLICKS, failure.failure.ship(failure_world)).change > 0.1
    hides, satisfied, utility = failure.harms
    assert hides.change > 0.4
    assert satisfied.change < -0.05
    assert utility.change < -0.1


def test_the_primary_metric_and_the_guardrail_of_hides_block_it(shown: Mapping[str, Demonstration]) -> None:
    stop = shown["F1"].stop
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).high < stop.threshold.low == -0.05
    blocked = {one.subject for one in shown["F1"].holding if one.outcome is Outcome.BLOCK}
    assert Subject("predicted", task="hide_7d") in blocked
