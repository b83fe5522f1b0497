"""A prediction by the heads of two releases together, which favours the slates of neither.

By a release's own head its slates look better than they are, and by another head worse: of two equal heads
each ranks high what it finds good by mistake. A prediction by both has no such side::

    log odds = m + a + b m + g d        m the mean of both heads' log odds, d half their difference

with a, b and g fitted on the rows whose outcome is known, b and g with a standard deviation of .7 around 0.
A head that knows nothing gets no weight. ``python -m benchmarks.both_heads`` compares the three judges on
slates whose truth is known.
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
"""Rows of one success and one failure each: at a chance of one half they weigh as a variance of 1/2 does."""


def by_both(log: CandidateLog, first: PolicySlates, second: PolicySlates, task: str) -> PolicySlates | None:
    """Return a judge whose prediction of a task is that of two releases together.

    Returns
    -------
    The first policy under both names, with predictions at the reference position, shape [n]. None where a
    release does not predict the task, both predict the same, outcomes are amounts, or fewer than `SPARSE` of
    either outcome are known.
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
    """Return the chance by both where each gives one; elsewhere their mean, which may be NaN."""
    joined = np.mean(examined, axis=0)
    inside = _inside(examined)
    middle, apart = _log_odds([one[inside] for one in examined])
    level, slope, side = weights
    joined[inside] = expit(middle + level + slope * middle + side * apart)
    return joined
