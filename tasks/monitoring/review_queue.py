"""Lists units whose negative events significantly exceed the predictions, for human review.

::

    O events of a unit        Poisson(excess x E), E the sum of its calibrated predictions
    excess                    gamma(a, b), fitted to all units, so that O is negative binomial
    excess given O            gamma(a + O, b + E)
    EB05                      its 5 % quantile; a unit is listed if EB05 > 2

A unit is an item, a creator or a source. The highest ratios O / E are mostly units with few predicted events,
and a test of each unit against its prediction selects units that are only slightly worse. EB05 shrinks a
ratio towards typical values and measures whether the excess is large. The prior has at most as many predicted
events as the other units, so that a few units do not determine their own prior. ``python -m
benchmarks.review_queue`` prints the share of listed units that are truly bad.

DuMouchel (1999), "Bayesian data mining in large frequency tables", with one gamma instead of two.

Units are the values of ``item_id``, of ``source`` if it is logged, and of the columns in `max_per` of
slate.yaml, such as a creator::

    matured impressions of a task's newest 28 mature days -> events and predictions by unit -> EB05 > 2
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import digamma, gammaincinv, gammaln

from tasks import columns as c
from tasks.arrays import Floats, Indices
from tasks.contracts import Contracts
from tasks.errors import DataError
from tasks.labels.maturity import matures
from tasks.labels.snapshot import Snapshot
from tasks.logs.rows import DayRange
from tasks.monitoring.traffic import LoggedTraffic
from tasks.stores.workspace import Workspace

EXCESS: Final = 2.0
"""Factor of the prediction that a listed unit exceeds with a probability of 95 %."""
_LEAST_RATE: Final = 1e-3
_MEANS: Final = (1e-6, 1e6)


@dataclass(frozen=True)
class ReviewQueue:
    """Units with their excess, observed / predicted events.

    Attributes
    ----------
    shape, rate : a and b of the prior; its mean is a / b.
    excess : [units], mean excess given a unit's events.
    eb05 : [units], value that the excess exceeds with a probability of 95 %.
    """

    shape: float
    rate: float
    excess: Floats
    eb05: Floats

    @property
    def listed(self) -> Indices:
        """Indexes of the units to review, highest EB05 first."""
        worst = np.argsort(-self.eb05, kind="stable")
        return np.asarray(worst[self.eb05[worst] > EXCESS], dtype=np.intp)


def review_units(observed: npt.ArrayLike, expected: npt.ArrayLike) -> ReviewQueue:
    """Fit the prior to all units and select those with an excess.

    Parameters
    ----------
    observed : [units], negative events of matured impressions, whole numbers.
    expected : [units], the sum of the predictions of the same impressions, above 0.

    Examples
    --------
    >>> observed, expected = [9, 10, 11, 8, 12, 10, 60, 3], [10.0] * 7 + [0.5]
    >>> queue = review_units(observed, expected)
    >>> queue.listed.tolist(), queue.eb05[[0, 6, 7]].round(1).tolist()
    ([6], [0.6, 4.5, 1.3])
    """
    o, e = np.asarray(observed, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    wrong = np.flatnonzero(~(np.isfinite(o) & (o >= 0) & np.isfinite(e) & (e > 0)))
    if wrong.size:
        first = wrong[0]
        raise DataError(
            f"{wrong.size} units cannot be compared with their prediction; the first is unit {first} with "
            f"{o[first]} events and {e[first]} predicted. Leave out units without predicted events."
        )
    shape, rate = _fit(o, e) if o.size else (np.nan, np.nan)
    return ReviewQueue(shape, rate, (shape + o) / (rate + e), gammaincinv(shape + o, 0.05) / (rate + e))


def _fit(o: Floats, e: Floats) -> tuple[float, float]:
    """Maximise the likelihood of negative binomial counts over the prior's mean and rate."""

    def loss(logs: Floats) -> tuple[float, Floats]:
        mean, b = np.exp(logs)
        a = mean * b
        likelihood = gammaln(a + o) - gammaln(a) + a * np.log(b / (b + e)) + o * np.log(e / (b + e))
        by_a = (digamma(a + o) - digamma(a) + np.log(b / (b + e))).sum()
        by_b = (a * e / (b * (b + e)) - o / (b + e)).sum()
        return -float(likelihood.sum()), -np.array([a * by_a, a * by_a + b * by_b])

    most = max(float(e.sum()) * (1 - 1 / e.size), 2 * _LEAST_RATE)
    level = min(max(float(o.sum() / e.sum()), _MEANS[0]), _MEANS[1])
    least, start = np.log([_MEANS[0], _LEAST_RATE]), np.log([level, min(1.0, most)])
    bounds = [*zip(least, np.log([_MEANS[1], most]), strict=True)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    mean, rate = np.exp(found.x)
    return float(mean * rate), float(rate)


DAYS: Final = 28
"""Number of mature days of a task whose impressions are counted."""
_DAY: Final = timedelta(days=1)


class ReviewedUnit(TypedDict):
    """A unit to review: its events, predictions and excess, with its 95 % lower bound (``eb05``)."""

    task: str
    column: str
    unit: str
    impressions: int
    observed: int
    expected: float
    excess: float
    eb05: float


_Sums = defaultdict[tuple[str, str], list[pd.DataFrame]]


def newest_mature(
    contracts: Contracts, snapshot: Snapshot, tasks: Iterable[str], *, known_by: datetime
) -> dict[str, DayRange]:
    """Return the newest 28 days that are mature by an instant, by task; tasks without any are left out."""
    stored, spans = snapshot.build().days, {}
    for task in tasks:
        newest = (known_by - matures(contracts.tasks, task)).date() - _DAY
        if mature := [day for day in stored if newest - DAYS * _DAY < day <= newest]:
            spans[task] = DayRange(min(mature), max(mature))
    return spans


def days_of(spans: Mapping[str, DayRange]) -> set[date]:
    """Return the days of several spans."""
    lengths = {span: (span.last - span.first).days + 1 for span in spans.values()}
    return {span.first + n * _DAY for span, length in lengths.items() for n in range(length)}


@dataclass(frozen=True)
class UnitReview:
    """Sums events and predictions by unit, one week at a time.

    Attributes
    ----------
    spans : newest mature days by task.
    units : columns whose values are units.
    """

    spans: Mapping[str, DayRange]
    units: Sequence[str]
    sums: _Sums = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def begin(cls, workspace: Workspace, snapshot: Snapshot, *, known_by: datetime) -> "UnitReview":
        """Select the days that are mature by an instant."""
        contracts = workspace.contracts
        spec, kind = contracts.tasks.tasks, contracts.head_kind
        tasks = [task for task in spec if spec[task].family.costs and kind(task) == "binary"]
        spans = newest_mature(contracts, snapshot, tasks, known_by=known_by)
        return cls(spans, tuple(dict.fromkeys((c.ITEM_ID, c.SOURCE, *contracts.slate.max_per))))

    def add(self, traffic: LoggedTraffic) -> None:
        """Add the impressions of a week."""
        for task, span in self.spans.items():
            inside = traffic.within(span)
            if not inside.any():
                continue
            outcomes, predictions = traffic.outcomes(task), traffic.predictions[task]
            known = inside & np.isfinite(outcomes) & np.isfinite(predictions)
            rows = pd.DataFrame({"observed": outcomes, "expected": predictions, "impressions": 1})[known]
            for column in (name for name in self.units if name in traffic.frame):
                units = traffic.frame[column].to_numpy()[known]
                self.sums[task, column].append(rows.groupby(units).sum())

    def queue(self) -> list[ReviewedUnit]:
        """Return the units to review, highest EB05 first."""
        listed = [unit for (task, column), found in self.sums.items() for unit in _list(task, column, found)]
        return sorted(listed, key=lambda unit: -unit["eb05"])


def _list(task: str, column: str, found: Sequence[pd.DataFrame]) -> Iterator[ReviewedUnit]:
    """Yield the units of one column that exceed their predictions."""
    together = pd.concat(found).groupby(level=0).sum()
    together = together[together["expected"] > 0]
    queue = review_units(together["observed"], together["expected"])
    for place in queue.listed:
        row = together.iloc[place]
        yield ReviewedUnit(
            task=task,
            column=column,
            unit=str(together.index[place]),
            impressions=int(row["impressions"]),
            observed=int(row["observed"]),
            expected=float(row["expected"]),
            excess=float(queue.excess[place]),
            eb05=float(queue.eb05[place]),
        )
