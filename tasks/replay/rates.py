"""What a policy's slots would lead to, per look: doubly robust rates of outcomes.

A *look* is a slot weighted by its examination ``e``; ``e0`` is that of the place where an item was logged::

    <task>_rate = sum of e x [q + k x w x (y / e0 - q)]  /  sum of e

    y   the joint outcome (outcomes.py)              q   a joint prediction per look, the same for all
    k   known outcomes stand for unknown ones        w   shown items stand for all candidates (inclusion.py)

The estimate is unbiased for whatever ``q``, since the logged propensities are known: a mean over the slots
that happen to hold shown items is not (of a random order it says nearly no change). An order that depends on
what was shown, as the logged one does, needs no weight: sum of y over sum of e of its labelled slots. A log
without propensities is read so too, and its figure favours what the logger favoured.
``ndcg_<task>`` is the same with 1 / log2(1 + slot) in place of ``e``; the ideal is common to all policies and
cancels in a relative change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tasks.evaluation.clustered import Ratio, Statistic, divide_statistics
from tasks.replay.log import CandidateLog, Floats, Slates
from tasks.replay.outcomes import JointOutcome

Rows = npt.NDArray[np.bool_]

THIN = 20
"""Events below which a term of the utility, or a cost, cannot be measured by what happened."""


@dataclass(frozen=True)
class RateEstimator:
    """Rates of outcomes on one log, with one set of predictions for every policy.

    Attributes
    ----------
    per_look : task -> joint prediction of an item that is looked at, shape [n]; a task that is absent has 0.
    """

    log: CandidateLog
    per_look: Mapping[str, Floats] = field(default_factory=dict)

    def rate(self, task: str, slates: Slates, within: Rows) -> Ratio:
        """Return the rate per look of a task in the slots ``within`` a segment."""
        return self._rate(task, slates, self._looks(slates, within))

    def gain(self, task: str, slates: Slates, within: Rows) -> Ratio:
        """Return the discounted gain per slot of a task: NDCG up to the ideal, which all policies share."""
        slots = within & (slates.slot > 0)
        return self._rate(task, slates, np.where(slots, 1.0 / np.log2(1.0 + np.maximum(slates.slot, 1)), 0.0))

    def rate_given(self, task: str, given: str, slates: Slates, within: Rows) -> Statistic:
        """Return the rate of a task over the rate of what comes before it."""
        child, before = (self.rate(name, slates, within).statistic for name in (task, given))
        return divide_statistics(child, before)

    def utility(self, terms: "Sequence[Term]", slates: Slates, within: Rows) -> Ratio:
        """Return the observed utility per look: the sum over terms of worth x rate."""
        looks = self._looks(slates, within)
        total, events = np.zeros(len(looks)), 0
        for term in terms:
            if term.believed is None:
                part = self._rate(term.task, slates, looks, term.worth)
                total += _rescale(part, looks)
                events += part.events or 0
            else:
                total += looks * term.worth * term.believed
        return Ratio(total, looks, events)

    def events(self, task: str, slates: Slates, within: Rows) -> int:
        """Count the positive outcomes that the slots hold."""
        outcome = self.log.outcomes[task]
        return _count(outcome, within & (slates.slot > 0))

    def _looks(self, slates: Slates, within: Rows) -> Floats:
        return np.where(within & (slates.slot > 0), self.log.examined_at(slates.slot), 0.0)

    def _rate(self, task: str, slates: Slates, looks: Floats, worth: Floats | float = 1.0) -> Ratio:
        """Divide what the slots lead to, times its worth, by their looks."""
        outcome = self.log.outcomes[task]
        seen = outcome.value / self.log.logged_looks if outcome.looked_at else outcome.value
        events = _count(outcome, looks > 0)
        if slates.follows_log or self.log.inclusion is None:
            labelled = looks * outcome.weight
            return Ratio(labelled * worth * seen, labelled, events)
        predicted = self.per_look.get(task, np.zeros(len(looks)))
        correction = outcome.weight * self.log.inclusion * (seen - predicted)
        return Ratio(looks * worth * (predicted + correction), looks, events)


@dataclass(frozen=True)
class Term:
    """A term of the utility: its worth per outcome [n], and what is believed where outcomes are too few.

    ``believed`` is a prediction per look [n]; None measures the term by what happened.
    """

    task: str
    worth: Floats
    believed: Floats | None = None


def _count(outcome: JointOutcome, rows: Rows) -> int:
    return int(np.count_nonzero(rows & outcome.known & (outcome.value > 0)))


def _rescale(part: Ratio, looks: Floats) -> Floats:
    """Return a part's numerator as if its denominator were all looks, so that parts can be added."""
    labelled, total = part.denominator.sum(), looks.sum()
    return part.numerator * (total / labelled) if labelled else np.zeros(len(looks))
