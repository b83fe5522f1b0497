"""F5: an item that must never be shown is shown where its utility is high enough."""

from collections.abc import Mapping

from benchmarks.failures.failure import Demonstration
from benchmarks.failures.listed import PENALTY, VIOLATION, penalised, unfiltered
from benchmarks.failures.world import FailureWorld
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.policy import find_lost_constraints
from tests.known import known


def test_a_penalty_lets_some_items_through_however_high_it_is(shown: Mapping[str, Demonstration]) -> None:
    rates = [figure.naive for figure in shown["F5"].sweep.values()]
    assert rates[-1] == 0
    assert min(rates[:-1]) > 0
    assert rates == sorted(rates, reverse=True)


def test_the_constraints_gate_counts_every_one_of_them(
    failure_world: FailureWorld, shown: Mapping[str, Demonstration]
) -> None:
    stop, slots = shown["F5"].stop, penalised(failure_world, PENALTY).slot
    assert stop.outcome is Outcome.BLOCK
    assert known(stop.observed).value == failure_world.column(VIOLATION)[slots > 0].sum() > 0


def test_a_policy_without_the_filter_is_named_to_those_who_approve(failure_world: FailureWorld) -> None:
    policy = failure_world.data.utility
    assert find_lost_constraints(policy, unfiltered(policy)) == (VIOLATION,)
