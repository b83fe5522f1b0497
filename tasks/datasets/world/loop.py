"""The simulated feed as a closed loop: releases serve, people respond, later releases train on the log.

::

    day d   visitors    ->  40 candidates each  ->  a server decides  ->  events with individual delays
              ^                (features logged)      slots, propensity,        |
              |                                       release, arm, ...         v
              +-----  mood: satisfied people return, annoyed ones leave  <------+

`ClosedLoop.play` plays one day and returns its log, its events and the truth of every candidate. A server is
any function from the offered candidates to `Served`. `serve_decision` creates one from a release's
`Decision`, and `serve_arms` splits the people between several. Without a server the world's own ranker
serves, as in ``generate``. A tenth of the items is new each week, and drifts (``entities.py``) are switched
on by day.

The same seed, drifts and servers give the same bytes, and a day does not depend on later days.

The experience of visitors affects whether they return::

    chance of a visit     1 - exp(-activity x exp(mood)), for people who are present
    mood after a visit    + .1 for an item with a minute of dwell, - .5 for a hide, - 1.5 for a report;
                          at most .7, at least -2; it fades by 3 % a day
    leaving for good      .05 x exp(-mood) for a hide, three times as much for a report
    newcomers             a constant number per day, independent of the feed

These figures are chosen, not estimated: over five months about a tenth of the people leave under the world's
own ranker, the most active first, and newcomers replace them.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from tasks import columns as c
from tasks.arrays import Flags, Floats, SingleFloats
from tasks.datasets.world.catalog import draw_catalog, draw_users, ineligible
from tasks.datasets.world.entities import (
    CANDIDATES,
    LINGER_SECONDS,
    SLOTS,
    Batch,
    Drift,
    Happened,
    Outcomes,
    Shown,
    Stream,
    Users,
    World,
    drift_batch,
    drift_feed,
    drift_people,
    drifts_on,
    generator,
)
from tasks.datasets.world.feed import draw_batch, requests_of
from tasks.datasets.world.generate import START, ParquetFiles
from tasks.datasets.world.tables import (
    Clock,
    absences_table,
    candidates_table,
    events_table,
    impressions_table,
    offered_table,
    request_names,
    shown_at,
    shown_of,
)
from tasks.datasets.world.truth import PURCHASE_DAYS, behave, chances, probabilities
from tasks.errors import ContractError, DataError
from tasks.ranking.decide import Decision

Values = npt.NDArray[Any]

SHELF_DAYS: Final = 70
"""A tenth of the items is new each week."""
_LEAST_REQUESTS: Final = 20
"""Minimum average; below it some days would have no requests."""
_TO_COME: Final = 1.5
"""Total number of people, as a multiple of those of the first day."""
_OUT_OF_STOCK: Final = 15
_DELAY_LOG_SD: Final = 0.6
"""Standard deviation of the log of people's mean delays: one in six has 1.8 times the median delay."""


@dataclass(frozen=True)
class Served:
    """A server's decision on n candidates.

    Attributes
    ----------
    position : [n] slots from 1, 0 for candidates that are not shown.
    propensity : [n] probability of each shown item at its slot given those above it.
    logged : further columns of the log by name, [n] each, such as `release`, `experiment` and `arm`.
    """

    position: npt.NDArray[np.integer]
    propensity: Floats
    logged: Mapping[str, Values] = field(default_factory=dict)


Server = Callable[[pd.DataFrame], Served]
"""Decides on the candidates of a day, one row each, with all features logged before serving."""


def serve_decision(
    decision: Decision, predictions: Mapping[str, npt.ArrayLike] | None = None, **names: str
) -> Served:
    """Serve a release's decision, and log the columns that the contracts require.

    Parameters
    ----------
    predictions : ``p_<task>`` -> [n]; logged as ``served_p_<task>``.
    names : constant columns: `release`, `experiment`, `arm`.
    """
    n = len(decision.slate_position)
    logged: dict[str, Values] = {c.DRAWABLE: decision.drawable, c.SERVED_UTILITY: decision.utility}
    logged |= {c.served(name): np.asarray(values) for name, values in (predictions or {}).items()}
    logged |= {name: np.full(n, value, dtype=object) for name, value in names.items()}
    return Served(decision.slate_position, decision.propensity, logged)


def serve_arms(
    candidates: pd.DataFrame, arm_of_user: Callable[[str], int], servers: Sequence[Server]
) -> Served:
    """Serve every person by the server of their arm.

    Parameters
    ----------
    arm_of_user : user id -> index in ``servers``.
    """
    users, rows_of = np.unique(candidates[c.USER_ID].to_numpy(dtype=object), return_inverse=True)
    arm = np.array([arm_of_user(user) for user in users], dtype=np.int64)[rows_of]
    position, propensity = np.zeros(len(arm), dtype=np.int64), np.full(len(arm), np.nan)
    logged: dict[str, Values] = {}
    for number in np.unique(arm):
        rows = np.flatnonzero(arm == number)
        part = servers[number](candidates.iloc[rows])
        position[rows], propensity[rows] = part.position, part.propensity
        for name, values in part.logged.items():
            numeric = values.dtype != object
            blank = np.full(len(arm), False if values.dtype == bool else np.nan if numeric else None)
            logged.setdefault(name, blank)[rows] = values
    return Served(position, propensity, logged)


@dataclass(frozen=True)
class LoopDay:
    """A day of the loop.

    Attributes
    ----------
    batch : requests and their n candidates.
    shown, outcomes : the k shown impressions by request and position, and their outcomes.
    truth : true probability of each task at the first position, [n], as defined by ``truth.probabilities``.
    served : the server's decision.
    """

    day: int
    batch: Batch
    shown: Shown
    outcomes: Outcomes
    truth: Mapping[str, Floats]
    served: Served
    _feed: World
    _clock: Clock

    @property
    def date(self) -> date:
        """The calendar day."""
        return (self._clock.start + timedelta(days=self.day)).date()

    @cached_property
    def tables(self) -> dict[str, pa.Table]:
        """Log tables by name: candidates, impressions and all of their events, however late."""
        names = request_names(self._clock, self.day, 0, len(self.batch.requests.user))
        candidates = candidates_table(self._feed, self._clock, self.batch, names, self.shown, self.outcomes)
        for name, values in self.served.logged.items():
            candidates = candidates.append_column(name, pa.array(values, from_pandas=True))
        impressions = impressions_table(candidates, self.shown.row)
        events = events_table(self._feed, self._clock, names, self.shown, self.outcomes)
        absences = absences_table(self._feed, self._clock, self.day)
        return {
            "candidates": candidates,
            "impressions": impressions,
            "events": pa.concat_tables([absences, events]).unify_dictionaries(),
        }

    def write(self, folder: Path) -> None:
        """Write the tables to ``folder/<table>/<day>.parquet``, each atomically."""
        partial = folder / ".partial"
        partial.mkdir(parents=True, exist_ok=True)
        with ParquetFiles(partial) as files:
            for name, table in self.tables.items():
                files.write(name, str(self.date), table)
        for name in self.tables:
            file = f"{self.date}.parquet"
            (folder / name).mkdir(exist_ok=True)
            (partial / name / file).rename(folder / name / file)
        shutil.rmtree(partial)


class ClosedLoop:
    """A simulated feed whose days are played in sequence.

    Parameters
    ----------
    seed : at least 0.
    requests_per_day : at least 20, on average on the first days; later it depends on people's moods.
    days : maximum number of days.
    start : the first day.
    drifts : by name, the day from which each is switched on.
    shelves : total number of items, nearly all of them in each request; a fifteenth is reserved for items out
        of stock. By default 40 of a group of 160 that changes daily: no person meets an item again within 38
        days, so labels of orders are exact.

    Examples
    --------
    >>> loop = ClosedLoop(seed=1, requests_per_day=20, days=2)
    >>> [day.tables["impressions"].num_rows for day in (loop.play(), loop.play())]
    [180, 336]
    """

    def __init__(
        self,
        *,
        seed: int,
        requests_per_day: int,
        days: int,
        start: date = START,
        drifts: Mapping[Drift, int] | None = None,
        shelves: int | None = None,
    ) -> None:
        if requests_per_day < _LEAST_REQUESTS:
            raise ContractError(f"requests_per_day is {requests_per_day}. Give {_LEAST_REQUESTS} or more.")
        first = round(requests_per_day / VISITS_PER_USER)
        users = draw_users(seed, round(_TO_COME * first))
        pace = generator(seed, Stream.DELAYS).standard_normal(users.count, dtype=np.float32)
        catalog = draw_catalog(seed, days + PURCHASE_DAYS + 1, shelf_days=SHELF_DAYS)
        delays = np.exp(np.float32(_DELAY_LOG_SD) * pace)
        candidates = CANDIDATES if shelves is None else shelves - shelves // _OUT_OF_STOCK
        self.world = World(seed, users, catalog, None, delays, shelves, candidates)
        self.visitors = Visitors.of(users, first)
        self.day = 0
        """The next day to play."""
        self.offered: Batch | None = None
        """Candidates that the day's server decides on, for an oracle or for simulated heads."""
        self._days, self._drifts = days, dict(drifts or {})
        self._clock = Clock(datetime.combine(start, time(), UTC))

    def play(self, server: Server | None = None) -> LoopDay:
        """Play the next day: people visit, are served, respond, and return or leave.

        Parameters
        ----------
        server : decides on all candidates; by default the world's own ranker.

        Raises
        ------
        DataError
            All days have been played, or the server used a slot that does not exist, or used one twice.
        """
        if self.day >= self._days:
            raise DataError(f"The loop has {self._days} days and all are played. Make one with more `days`.")
        day, seed, on = self.day, self.world.seed, drifts_on(self._drifts, self.day)
        feed = drift_feed(self.world, on)
        people = drift_people(feed, on)
        rng = generator(seed, Stream.REQUESTS, day)
        came = self.visitors.come(seed, day)
        came[ineligible(seed, day, len(came)).ids] = False
        batch = drift_batch(
            draw_batch(feed, day, 0, requests_of(feed, rng.permutation(np.flatnonzero(came)), rng)),
            people,
            on,
        )
        self.offered = batch
        served = self._own(feed, batch) if server is None else server(self._offer(feed, batch))
        shown = _shown(people, batch, served)
        all_chances = chances(people, batch)
        outcomes = behave(people, shown, all_chances.at(shown.row), generator(seed, Stream.BEHAVIOUR, day, 0))
        self.visitors = self.visitors.respond(shown, outcomes, seed, day)
        self.day += 1
        return LoopDay(day, batch, shown, outcomes, probabilities(all_chances), served, feed, self._clock)

    def end(self, drift: Drift) -> None:
        """Switch a drift off, from the next day on."""
        self._drifts.pop(drift, None)

    def _offer(self, feed: World, batch: Batch) -> pd.DataFrame:
        names = request_names(self._clock, batch.day, 0, len(batch.requests.user))
        return offered_table(feed, self._clock, batch, names).to_pandas()

    def _own(self, feed: World, batch: Batch) -> Served:
        """Serve the slate of the world's own ranker."""
        shown = shown_of(feed, batch)
        position, propensity = np.zeros(batch.item.size, dtype=np.int64), np.full(batch.item.size, np.nan)
        position[shown.row], propensity[shown.row] = shown.position, shown.propensity
        return Served(position, propensity)


def _shown(world: World, batch: Batch, served: Served) -> Shown:
    """Return the shown candidates by request and position.

    Raises
    ------
    DataError
        There is no such slot, or two candidates of a request share one.
    """
    position = served.position.reshape(batch.item.shape)
    if position.min(initial=0) < 0 or position.max(initial=0) > SLOTS:
        raise DataError(f"A server filled slot {position.max()}. The feed has slots 1 to {SLOTS}.")
    request, candidate = np.nonzero(position)
    order = np.lexsort((position[request, candidate], request))
    rows = (request * world.candidates + candidate)[order]
    slots = served.position[rows]
    if (np.diff(slots)[np.diff(request[order]) == 0] == 0).any():
        raise DataError("A server put two candidates of a request into one slot. Give each its own.")
    return shown_at(world, batch, rows, slots.astype(np.int16), served.propensity[rows])


VISITS_PER_USER: Final = 1 / 12
"""Mean visits per person and day in a neutral mood."""
_CONTENT, _HIDE, _REPORT = 0.1, -0.5, -1.5
_SETTLES: Final = 0.97
_BEST, _WORST = 0.7, -2.0
_LEAVES: Final = 0.05
_REPORT_WEIGHS: Final = 3.0
_NEWCOMERS: Final = 0.0008
"""Newcomers per day, as a share of the people on the first day."""
_ROUNDS: Final = 20
"""Rounds of scaling the rates until the chances of a visit have the required mean."""


@dataclass(frozen=True)
class Visitors:
    """All people by index, with presence and mood.

    Attributes
    ----------
    rate : visits per day in a neutral mood.
    mood : log of the factor of a person's rate of visits.
    present : whether a person has come and not left; ``left``: whether they have left for good.
    newcomers : average number of people per day who come for the first time.
    """

    rate: SingleFloats
    mood: SingleFloats
    present: Flags
    left: Flags
    newcomers: float

    @classmethod
    def of(cls, users: Users, first: int) -> Self:
        """Make the ``first`` people present; the others come later."""
        rate, present = np.exp(users.activity), np.arange(users.count) < first
        for _ in range(_ROUNDS):
            rate *= np.float32(VISITS_PER_USER) / _chance(rate[:first]).mean()
        neutral, none = np.zeros(users.count, np.float32), np.zeros(users.count, dtype=bool)
        return cls(rate, neutral, present, none, _NEWCOMERS * first)

    def come(self, seed: int, day: int) -> Flags:
        """Draw the visitors of a day, [users]; one draw per person, so a better mood only adds visits."""
        drawn = generator(seed, Stream.VISITS, day).random(len(self.rate))
        return self.present & (drawn < _chance(self.rate * np.exp(self.mood)))

    def respond(self, shown: Shown, outcomes: Outcomes, seed: int, day: int) -> "Visitors":
        """Return the people after a day, with changed moods, departures and newcomers."""
        events = {kind.event: kind for kind in outcomes.events}
        hides, reports = (
            np.bincount(shown.user[events[name].row], minlength=len(self.mood)) for name in ("hide", "report")
        )
        content = np.bincount(shown.user[_satisfying(events, len(shown.user))], minlength=len(self.mood))
        moved = _SETTLES * self.mood + _CONTENT * content + _HIDE * hides + _REPORT * reports
        mood = np.clip(moved, _WORST, _BEST).astype(np.float32)
        hazard = _LEAVES * np.exp(-mood) * (hides + _REPORT_WEIGHS * reports)
        rng = generator(seed, Stream.VISITS, day, 1)
        left = self.left | (self.present & (rng.random(len(mood)) < -np.expm1(-hazard)))
        return replace(self, mood=mood, present=self._joined(rng) & ~left, left=left)

    def _joined(self, rng: np.random.Generator) -> Flags:
        """Return who is present after the next newcomers have come."""
        waiting = np.flatnonzero(~self.present & ~self.left)
        joined = self.present.copy()
        joined[waiting[: rng.poisson(self.newcomers)]] = True
        return joined


def _chance(rate: SingleFloats) -> SingleFloats:
    return -np.expm1(-rate)


def _satisfying(events: dict[str, Happened], count: int) -> Flags:
    """Return the shown rows with a minute of dwell and neither a hide nor a report, [rows]."""
    content = np.zeros(count, dtype=bool)
    content[events["dwell"].row[events["dwell"].value >= LINGER_SECONDS]] = True
    for complaint in ("hide", "report"):
        content[events[complaint].row] = False
    return content
