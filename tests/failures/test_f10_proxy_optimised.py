"""F10: conversion is a proxy of sales that are kept; maximised, it raises returns and hides."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.listed import PURCHASES
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.verdicts import Outcome
from tests.known import known


def test_returns_rise_faster_than_purchases(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    failure = shown["F10"]
    purchases = failure_world.compare(PURCHASES, failure.failure.ship(failure_world))
    returns, hides, utility = failure.harms
    assert returns.change > 1.3 * purchases.change > 0.1
    assert hides.change > 0.2
    assert utility.change < -0.1


def test_the_primary_metric_blocks_it(shown: Mapping[str, Demonstration]) -> None:
    stop = shown["F10"].stop
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).high < stop.threshold.low
