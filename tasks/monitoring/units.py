"""Figures by unit (item, creator or source): excess of negative events, and value and cost by the policy.

**Review queue**: units whose negative events significantly exceed the predictions::

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

**Value and cost** of each source's and creator's items, by the policy's weights, on matured outcomes::

    value    sum over terms with a positive weight of weight x outcome, per impression
    cost     the same for terms with a negative weight, without the sign
    interval 95 %, clustered by user: the influence of a user over all terms

Each term is summed over its own newest 28 mature days, so value and cost may be from different days if tasks
mature at different times. Units are values of ``source`` and of the columns in `max_per`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.special import digamma, gammaincinv, gammaln

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices
from tasks.contracts import Contracts
from tasks.errors import DataError
from tasks.evaluation.clustered import RowClusters, Statistic, clustered_interval
from tasks.evaluation.resampling import users_of
from tasks.evaluation.verdicts import Estimate
from tasks.labels.snapshot import Snapshot
from tasks.labels.windows import matures
from tasks.logs.rows import DayRange
from tasks.monitoring.traffic import LoggedTraffic
from tasks.ranking.utility import served_predictions, worth_of_outcomes
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
    sums: defaultdict[tuple[str, str], list[pd.DataFrame]] = field(default_factory=lambda: defaultdict(list))

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


_LEAST_USERS: Final = 20
"""Minimum number of users of a unit for an interval."""


class SourceValue(TypedDict):
    """A unit's value and cost per impression, each with its interval."""

    column: str
    unit: str
    impressions: int
    users: int
    value: float
    value_low: float
    value_high: float
    cost: float
    cost_low: float
    cost_high: float


@dataclass(frozen=True)
class SourceSums:
    """Sums contributions by unit and user, one week at a time.

    Attributes
    ----------
    spans : newest mature days by term.
    """

    contracts: Contracts
    spans: Mapping[str, DayRange]
    sums: defaultdict[str, list[pd.DataFrame]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def begin(cls, workspace: Workspace, snapshot: Snapshot, *, known_by: datetime) -> "SourceSums":
        """Select the days that are mature by an instant."""
        contracts = workspace.contracts
        terms = [one for one in contracts.utility.outcomes if contracts.head_kind(one) in {"binary", "value"}]
        return cls(contracts, newest_mature(contracts, snapshot, terms, known_by=known_by))

    def add(self, traffic: LoggedTraffic) -> None:
        """Add the impressions of a week."""
        columns = [one for one in (c.SOURCE, *self.contracts.slate.max_per) if one in traffic.frame]
        rows = self._contributions(traffic) if columns and self.spans else None
        if rows is None:
            return
        for column in dict.fromkeys(columns):
            units = traffic.frame[column].to_numpy()
            self.sums[column].append(rows.groupby([units, users_of(traffic.frame).to_numpy()]).sum())

    def _contributions(self, traffic: LoggedTraffic) -> pd.DataFrame | None:
        """Return value, cost and whether they are known for each row, three columns per term."""
        outcomes = {task: traffic.outcomes(task) for task in self.spans}
        known = {t: traffic.within(self.spans[t]) & np.isfinite(seen) for t, seen in outcomes.items()}
        some: Flags = np.logical_or.reduce([*known.values()])
        if not some.any():
            return None
        frame = traffic.frame
        predictions = served_predictions(frame, self.contracts.utility_predictions)
        try:
            worth = worth_of_outcomes(frame, predictions, self.contracts.utility)
        except DataError as error:
            traffic.releases.notes[f"Sources cannot be valued. {error}"] = None
            return None
        costs = {name for name, task in self.contracts.tasks.tasks.items() if task.family.costs}
        costs |= {name for name, term in self.contracts.utility.terms.items() if term.costs}
        parts = dict[tuple[str, str], Floats]()
        for term, of_one in worth.items():
            if term in self.contracts.tasks.tasks and term not in known:
                continue
            rows = known.get(term, some)
            added = np.where(rows, np.nan_to_num(outcomes.get(term, 1.0)) * of_one, 0.0)
            parts[term, "value"] = np.zeros(len(rows)) if term in costs else added
            parts[term, "cost"] = -added if term in costs else np.zeros(len(rows))
            parts[term, "rows"] = rows.astype(np.float64)
        return pd.DataFrame(parts)

    def table(self) -> list[SourceValue]:
        """Return the units by column, those with the most impressions first."""
        found = [unit for column, parts in self.sums.items() for unit in _list_values(column, parts)]
        columns = [*self.sums]
        return sorted(found, key=lambda one: (columns.index(one["column"]), -one["impressions"]))


def _list_values(column: str, parts: Sequence[pd.DataFrame]) -> Iterator[SourceValue]:
    by_user = pd.concat(parts).groupby(level=[0, 1]).sum()
    for unit, own in by_user.groupby(level=0):
        if len(own) >= _LEAST_USERS:
            value, cost = (_estimate(own, part) for part in ("value", "cost"))
            yield SourceValue(
                column=column,
                unit=str(unit),
                impressions=int(max(own[task, "rows"].sum() for task in own.columns.unique(level=0))),
                users=len(own),
                value=value.value,
                value_low=value.low,
                value_high=value.high,
                cost=cost.value,
                cost_low=cost.low,
                cost_high=cost.high,
            )


def _estimate(own: pd.DataFrame, part: str) -> Estimate:
    """Return the sum of the terms' means per impression, with its user-clustered interval."""
    influence, total, events = np.zeros(len(own)), 0.0, 0
    for task in own.columns.unique(level=0):
        sums, rows = own[task, part].to_numpy(), own[task, "rows"].to_numpy()
        if n := rows.sum():
            mean = float(sums.sum() / n)
            influence, total = influence + (sums - mean * rows) / n, total + mean
            events += int(np.count_nonzero(sums))
    nothing = np.zeros(len(own), dtype=np.intp)
    users = RowClusters(np.arange(len(own)), nothing, nothing)
    return clustered_interval(Statistic(total, influence, np.ones(len(own)), events), users)
