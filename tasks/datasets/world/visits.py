"""Daily visitors of the simulated feed, and how their experience affects whether they return.

::

    chance of a visit     1 - exp(-activity x exp(mood)), for people who are present
    mood after a visit    + .1 for an item with a minute of dwell, - .5 for a hide, - 1.5 for a report;
                          at most .7, at least -2; it fades by 3 % a day
    leaving for good      .05 x exp(-mood) for a hide, three times as much for a report
    newcomers             a constant number per day, independent of the feed

These figures are chosen, not estimated: over five months about a tenth of the people leave under the world's
own ranker, the most active first, and newcomers replace them.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from tasks.arrays import Flags, SingleFloats
from tasks.datasets.world.entities import LINGER_SECONDS, Happened, Outcomes, Shown, Stream, Users, generator

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
