"""Doubly robust rates of outcomes in a policy's slots, per examined impression.

An impression is weighted by its examination ``e``; ``e0`` is the examination of an item's logged position::

    <task>_rate = sum of e x [q + k x w / v x (y / e0 - q)]  /  sum of e

    y   the joint outcome (log.py)                   q   a joint prediction, the same for all policies
    k   whether y is known; v the share known        w   inclusion weight of shown items (inclusion.py)

The estimate is unbiased for any ``q``, because the logged propensities are known. A mean over the slots that
happen to hold shown items is biased (for a random order it shows almost no change). An order that depends on
the shown items, such as the logged order, needs no weight: sum of y over sum of e of its labelled slots. The
same formula is used without propensities, and the figure is then biased towards the logging policy.
``ndcg_<task>`` uses 1 / log2(1 + slot) in place of ``e``; the ideal is common to all policies and cancels in
a relative change.

A few rows with large weights may contain no rare outcome by chance, and the observed variance is then too
small. Each row therefore has an expected *noise*, and no interval is narrower than the noise implies::

    e x k x w / v x sqrt(c x q / e0 - q^2)       c   sum of (y / e0)^2 over sum of q / e0, of known outcomes

``recall_<task>`` is the sum of expected outcomes of examined items over slots, divided by the same sum over
all candidates.

The heads of two releases jointly predict a ``q`` that favours the slates of neither. A release's own head
overestimates its slates, and another release's head underestimates them: each head ranks high the items that
it overestimates by mistake. A joint prediction is not biased this way::

    log odds = m + a + b m + g d        m the mean of both heads' log odds, d half their difference

a, b and g are fitted on the rows with a known outcome; b and g have a prior standard deviation of .7 around
0. A head without information gets no weight. ``python -m benchmarks.both_heads`` compares the three reference
models on slates with a known truth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.special import expit, logit

from tasks.arrays import Flags, Floats, Indices
from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.clustered import Ratio
from tasks.replay.joined_columns import OnDemand, spread
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import examined_by, predicted_per_examined
from tasks.training.log_odds import fit_log_odds

SPARSE = 20
"""Number of events below which a utility term, or a cost, cannot be measured by outcomes."""


@dataclass(frozen=True)
class RateEstimator:
    """Rates of outcomes on one log, with one set of predictions for every policy.

    Attributes
    ----------
    per_examined : task -> joint prediction of an examined item, shape [n]; 0 for an absent task.
    weights : [n] of the shown items, 0 elsewhere; by default ``w``, the log's weights.
    _spreads : by task, the rows [m] of known outcomes and the standard deviation of each.
    """

    log: CandidateLog
    per_examined: Mapping[str, Floats] = field(default_factory=dict)
    weights: Floats | None = None
    _spreads: dict[str, tuple[Indices, Floats]] = field(default_factory=dict, init=False)

    @property
    def _inclusion(self) -> Floats | None:
        return self.log.inclusion if self.weights is None else self.weights

    def ratios(self, metric: Metric, slates: PolicySlates, terms: "Sequence[TermWorth]") -> tuple[Ratio, ...]:
        """Return an outcome metric as a ratio; of outcomes given a parent, the rates of child and parent.

        Parameters
        ----------
        metric : one of `tasks.replay.metrics.OF_OUTCOMES`.
        terms : terms of the observed utility.
        """
        task = str(metric.subject)
        if metric.kind is MetricKind.OBSERVED_UTILITY:
            return (self.utility(terms, slates),)
        if metric.kind is MetricKind.GIVEN:
            return self.rate(task, slates), self.rate(str(metric.value), slates)
        made = {MetricKind.RATE: self.rate, MetricKind.NDCG: self.gain, MetricKind.RECALL: self.recall}
        return (made[metric.kind](task, slates),)

    def rate(self, task: str, slates: PolicySlates) -> Ratio:
        """Return the rate of a task per examined impression in the slots."""
        return self._rate(task, slates, examined_by(self.log, slates))

    def gain(self, task: str, slates: PolicySlates) -> Ratio:
        """Return the discounted gain of a task per slot: NDCG without its ideal, which all policies share."""
        slots = slates.slot > 0
        return self._rate(task, slates, np.where(slots, 1.0 / np.log2(1.0 + np.maximum(slates.slot, 1)), 0.0))

    def recall(self, task: str, slates: PolicySlates) -> Ratio:
        """Return the slots' share of the expected outcomes of all candidates, if examined.

        It is a ratio of sums over requests; all policies share its denominator.
        """
        inside = (slates.slot > 0).astype(np.float64)
        total = self._led_to(task, np.ones(len(inside)), follows_log=False)
        part = self._led_to(task, inside, follows_log=slates.follows_log)
        positive = self._positive(task, inside > 0)
        return Ratio(part, total, int(np.count_nonzero(positive)), positive)

    def utility(self, terms: "Sequence[TermWorth]", slates: PolicySlates) -> Ratio:
        """Return the observed utility per examined impression: the sum over terms of worth x rate."""
        examined = examined_by(self.log, slates)
        total, noise = np.zeros((2, len(examined)))
        positives = np.zeros(len(examined), dtype=np.int16)
        for term in terms:
            if term.predictions is None:
                part = self._rate(term.task, slates, examined, term.worth)
                # the scale extends a part's denominator to all exposure, so that parts can be added
                labelled = float(part.denominator.sum())
                scale = float(examined.sum()) / labelled if labelled else 0.0
                total += part.numerator * scale
                if part.noise is not None:
                    np.hypot(noise, part.noise * scale, out=noise)
                positives += self._positive(term.task, examined > 0)
            else:
                total += examined * term.worth * term.predictions[term.task]
        return Ratio(total, examined, int(positives.sum()), positives, noise)

    def events(self, task: str, slates: PolicySlates) -> int:
        """Count the positive outcomes in the slots."""
        return int(np.count_nonzero(self._positive(task, slates.slot > 0)))

    def _positive(self, task: str, rows: Flags) -> Flags:
        outcome = self.log.outcomes[task]
        return rows & outcome.known & (outcome.value > 0)

    def _rate(self, task: str, slates: PolicySlates, examined: Floats, worth: Floats | float = 1.0) -> Ratio:
        """Divide the slots' outcomes, times their worth, by the exposure."""
        positive = self._positive(task, examined > 0)
        labelled = slates.follows_log or self._inclusion is None
        led_to = self._led_to(task, examined, follows_log=slates.follows_log) * worth
        below = examined * self.log.outcomes[task].weight if labelled else examined
        noise = examined * worth * self._weight(task, labelled=labelled) * self._spread(task)
        return Ratio(led_to, below, int(np.count_nonzero(positive)), positive, noise)

    def _weight(self, task: str, *, labelled: bool) -> Floats:
        """Return the weight of each row's outcome."""
        weight = self.log.outcomes[task].weight
        return weight if labelled or self._inclusion is None else weight * self._inclusion

    def _spread(self, task: str) -> Floats:
        """Return the standard deviation of each known outcome per impression; 0 without a prediction."""
        if task not in self._spreads:
            rows = np.flatnonzero(self.log.outcomes[task].known)
            self._spreads[task] = rows, self._find_spread(task)[rows]
        rows, known = self._spreads[task]
        return spread(known, rows, len(self.log.shown), 0.0)

    def _find_spread(self, task: str) -> Floats:
        outcome, predicted = self.log.outcomes[task], np.maximum(self.per_examined.get(task, 0.0), 0.0)
        examination = self.log.logged_examined if outcome.by_examination else np.ones(len(outcome.value))
        per_examined, squares = predicted / examination, np.square(outcome.value / examination)
        seen, expected = (float(np.sum(outcome.weight * each)) for each in (squares, per_examined))
        share = seen / expected if expected > 0 else 0.0
        return np.sqrt(np.maximum(share * per_examined - np.square(predicted), 0.0))

    def _led_to(self, task: str, examined: Floats, *, follows_log: bool) -> Floats:
        """Return each row's expected outcomes: by labelled rows alone, or doubly robust."""
        outcome = self.log.outcomes[task]
        seen = outcome.value / self.log.logged_examined if outcome.by_examination else outcome.value
        if follows_log or self._inclusion is None:
            return examined * outcome.weight * seen
        predicted = self.per_examined.get(task, 0.0)
        return examined * (predicted + outcome.weight * self._inclusion * (seen - predicted))


@dataclass(frozen=True)
class TermWorth:
    """A term of the utility: its worth per outcome, and predictions where outcomes are too few.

    Attributes
    ----------
    task : a task, or a column that is a term by itself.
    worths : by task [n], as in `PolicySlates`.
    predictions : by task per examined impression [n]; None measures the term by outcomes.
    """

    task: str
    worths: Mapping[str, Floats]
    predictions: Mapping[str, Floats] | None = None

    @property
    def worth(self) -> Floats:
        """The value of one outcome, [n]."""
        return self.worths[self.task]


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
