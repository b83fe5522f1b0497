"""F2: trees that all tasks share learn the frequent ones; the head of hides learns little."""

from collections.abc import Mapping

import numpy as np

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_the_shared_trees_order_by_clicks_and_not_by_hides(failure_world: FailureWorld) -> None:
    data, naive = failure_world.data, failure_world.naive["shared trees"]

    def agreement(said: str, true: str) -> float:
        return float(np.corrcoef(np.log(naive[said]), np.log(data.truth[true]))[0, 1])

    assert agreement("p_click_30m", "p_click_30m") > 0.5
    assert abs(agreement("p_hide_7d", "p_hide_7d")) < 0.2


def test_more_items_are_hidden(shown: Mapping[str, Demonstration]) -> None:
    hides, utility = shown["F2"].harms
    assert hides.change > 0.15
    assert utility.change < -0.04


def test_the_model_gate_blocks_a_head_that_orders_worse_than_the_champions(
    shown: Mapping[str, Demonstration],
) -> None:
    stop = shown["F2"].stop
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).low > stop.threshold.high
