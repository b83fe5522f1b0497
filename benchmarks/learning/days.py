"""Days of the simulated feed in memory: what was shown where, what came of it, and what was truly likely.

The log tables of the same world are written by ``generate.py``. Here are no windows, absences or late events:
whatever happened is known, so that methods can be held against the truth in a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.datasets.world.catalog import draw_catalog, draw_users
from tasks.datasets.world.entities import Happened, Stream, World, generator
from tasks.datasets.world.feed import draw_batch, draw_requests
from tasks.datasets.world.tables import Clock, candidates_table, impressions_table, request_names, shown_of
from tasks.datasets.world.truth import behave, chances, probabilities

Floats = npt.NDArray[np.float64]

_CLOCK = Clock(datetime(2026, 1, 1, tzinfo=UTC))
_DAYS_AHEAD = 8
"""Days after the last for which the world's shelves are drawn: absences of that week are looked up."""


@dataclass(frozen=True)
class Days:
    """Shown impressions of some days, n rows, by request and position.

    Attributes
    ----------
    frame : the impressions table.
    happened : by event, whether it came of the row, 0 or 1.
    seconds : by event, seconds from the impression to it, NaN without one.
    stars : of the survey's answer, NaN without one.
    at_reference, where_shown : by task, the true probability at the first position and at the row's own.
    happy : the true probability of being happy, whether one answers or not.
    """

    frame: pd.DataFrame
    happened: dict[str, Floats]
    seconds: dict[str, Floats]
    stars: Floats
    at_reference: dict[str, Floats]
    where_shown: dict[str, Floats]
    happy: Floats

    @property
    def positions(self) -> Floats:
        """The position of each row, from 1."""
        return self.frame[c.POSITION].to_numpy(dtype=np.float64)

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        """Whether each row was rendered on screen."""
        return self.frame[c.VISIBLE].to_numpy(dtype=np.bool_)


def world(*, seed: int, users: int, days: int) -> World:
    """Draw a world of so many people, whose days from 0 on can be drawn."""
    return World(seed, draw_users(seed, users), draw_catalog(seed, days + _DAYS_AHEAD))


def draw(made: World, days: Iterable[int], *, requests: int) -> Days:
    """Draw days of a world, each with so many requests of 12 impressions.

    Examples
    --------
    >>> day = draw(world(seed=1, users=600, days=1), [0], requests=50)
    >>> len(day.frame), day.happened["click"].shape, float(day.positions.max())
    (600, (600,), 12.0)
    """
    parts = [_day(made, day, requests) for day in days]
    return Days(
        frame=pd.concat([part.frame for part in parts], ignore_index=True),
        happened=_joined([part.happened for part in parts]),
        seconds=_joined([part.seconds for part in parts]),
        stars=np.concatenate([part.stars for part in parts]),
        at_reference=_joined([part.at_reference for part in parts]),
        where_shown=_joined([part.where_shown for part in parts]),
        happy=np.concatenate([part.happy for part in parts]),
    )


def _day(made: World, day: int, requests: int) -> Days:
    batch = draw_batch(made, day, 0, draw_requests(made, day, requests))
    shown = shown_of(made, batch)
    rows = shown.row
    chance = chances(made, batch).at(rows)
    outcomes = behave(made, shown, chance, generator(made.seed, Stream.BEHAVIOUR, day, 0))
    names = request_names(_CLOCK, day, 0, requests)
    table = impressions_table(candidates_table(made, _CLOCK, batch, names, shown, outcomes), rows)
    kinds = {kind.event: kind for kind in outcomes.events}
    return Days(
        frame=table.to_pandas(),
        happened={
            event: _spread(np.ones(len(kind.row)), kind, len(rows), 0.0) for event, kind in kinds.items()
        },
        seconds={
            event: _spread((kind.at - np.take(shown.at, kind.row)) / 1e6, kind, len(rows), np.nan)
            for event, kind in kinds.items()
        },
        stars=_spread(kinds["survey"].value, kinds["survey"], len(rows), np.nan),
        at_reference=probabilities(chance),
        where_shown=probabilities(chance, shown.position),
        happy=chance.happy,
    )


def _spread(values: Floats, kind: Happened, rows: int, elsewhere: float) -> Floats:
    spread = np.full(rows, elsewhere)
    spread[kind.row] = values
    return spread


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
