"""How far weights are limited: not where they are even, and where a huge one would decide."""

import numpy as np

from tasks.evaluation.off_policy.slots import LoggedSlots, shrunk_weights, switched_weights
from tasks.evaluation.off_policy.tuning import tune_shrinkage, tune_switch


def rows(huge: float) -> LoggedSlots:
    rng = np.random.default_rng(0)
    q = np.full(500, 0.5)
    return LoggedSlots(rng.binomial(1, 0.5, 500).astype(float), np.r_[np.ones(499), huge], q, q)


def test_even_weights_are_left_alone() -> None:
    even = rows(huge=1.0)
    assert tune_switch(even).limit == np.inf
    assert tune_switch(even).weight.tolist() == even.weight.tolist()


def test_one_huge_weight_is_limited_and_the_limit_is_the_one_that_was_used() -> None:
    odd = rows(huge=1e5)
    switch, shrinkage = tune_switch(odd), tune_shrinkage(odd)
    assert switch.limit < 1e5
    assert switch.weight.tolist() == switched_weights(odd.weight, switch.limit).tolist()
    assert shrinkage.weight.max() < 1e5
    assert shrinkage.weight.tolist() == shrunk_weights(odd.weight, shrinkage.limit).tolist()
