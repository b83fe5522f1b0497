"""Predictions by the heads of two releases jointly, which favour the slates of neither.

A release's own head overestimates its slates, and another release's head underestimates them: each head
ranks high the items that it overestimates by mistake. A joint prediction is not biased this way::

    log odds = m + a + b m + g d        m the mean of both heads' log odds, d half their difference

a, b and g are fitted on the rows with a known outcome; b and g have a prior standard deviation of .7 around
0. A head without information gets no weight. ``python -m benchmarks.both_heads`` compares the three reference
models on slates with a known truth.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import expit, logit

from tasks.arrays import Flags, Floats
from tasks.replay.joined_columns import OnDemand
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import predicted_per_examined
from tasks.replay.rates import SPARSE
from tasks.training.log_odds import fit_log_odds

_PRIOR: Final = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
"""Rows of one success and one failure each: near a probability of 1/2 they act as a prior variance of 1/2."""


def by_both(log: CandidateLog, first: PolicySlates, second: PolicySlates, task: str) -> PolicySlates | None:
    """Return a reference model that predicts a task by the heads of two releases jointly.

    Returns
    -------
    The first policy's slates under both names, with predictions at the reference position, shape [n]. None if
    a release does not predict the task, both predict the same, outcomes are amounts, or fewer than `SPARSE`
    positive or negative outcomes are known.
    """
    if any(task not in one.predictions for one in (first, second)):
        return None
    outcome = log.outcomes[task]
    shown = [one.where_shown.get(task, one.predictions[task]) for one in (first, second)]
    rows = outcome.known & _inside(shown)
    value, predicted = outcome.value[rows], [one[rows] for one in shown]
    positives = int(np.count_nonzero(value == 1))
    negatives = int(np.count_nonzero(value == 0))
    enough = min(positives, negatives) >= SPARSE and positives + negatives == len(value)
    if not enough or np.array_equal(predicted[0], predicted[1]):
        return None
    weights = _fit(predicted, value, outcome.weight[rows])
    heads = [predicted_per_examined(log, one) for one in (first, second)]
    joined = OnDemand([task], lambda name: _apply(weights, [head[name] for head in heads]))
    return PolicySlates(f"{first.name} and {second.name}", first.slot, joined, joined, heads=2)


def _fit(shown: Sequence[Floats], value: Floats, weight: Floats) -> Floats:
    middle, apart = _log_odds(shown)
    design = np.vstack([np.column_stack([np.ones_like(middle), middle, apart]), _PRIOR, _PRIOR])
    return fit_log_odds(
        design,
        np.concatenate([value, [0.0, 0.0, 1.0, 1.0]]),
        weights=np.concatenate([weight, np.ones(4)]),
        offsets=np.concatenate([middle, np.zeros(4)]),
    )


def _inside(predictions: Sequence[Floats]) -> Flags:
    return np.logical_and.reduce([(one > 0) & (one < 1) for one in predictions])


def _log_odds(predictions: Sequence[Floats]) -> tuple[Floats, Floats]:
    first, second = (logit(one) for one in predictions)
    return (first + second) / 2, (first - second) / 2


def _apply(weights: Floats, examined: Sequence[Floats]) -> Floats:
    """Return the joint probability where both are inside (0, 1); elsewhere their mean, which may be NaN."""
    joined = np.mean(examined, axis=0)
    inside = _inside(examined)
    middle, apart = _log_odds([one[inside] for one in examined])
    level, slope, side = weights
    joined[inside] = expit(middle + level + slope * middle + side * apart)
    return joined
