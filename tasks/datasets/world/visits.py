"""Who comes to the simulated feed on a day, and how what people meet there changes whether they return.

::

    chance of a visit     1 - exp(-activity x exp(mood)), of those who are there
    mood after a visit    + .1 for an item that was worth a minute, - .5 for a hide, - 1.5 for a report;
                          at most .7, at least -2; it fades by 3 % a day
    leaving for good      .05 x exp(-mood) for a hide, three times as much for a report
    newcomers             a steady number a day, whatever the feed is like

These figures are chosen, not estimated: over five months about a tenth of the people leave under the world's
own ranker, the most active first, and newcomers take their place.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from tasks.arrays import Flags, SingleFloats
from tasks.datasets.world.entities import LINGER_SECONDS, Happened, Outcomes, Shown, Stream, Users, generator

VISITS_PER_USER: Final = 1 / 12
"""Mean visits of a person a day, in a neutral mood."""
_CONTENT, _HIDE, _REPORT = 0.1, -0.5, -1.5
_SETTLES: Final = 0.97
_BEST, _WORST = 0.7, -2.0
_LEAVES: Final = 0.05
_REPORT_WEIGHS: Final = 3.0
_NEWCOMERS: Final = 0.0008
"""Newcomers a day, as a share of those who are there on the first day."""
_ROUNDS: Final = 20
"""Of scaling the rates until the chances of a visit have the mean that is asked for."""


@dataclass(frozen=True)
class Visitors:
    """All people by index: who is there, and in which mood.

    Attributes
    ----------
    rate : visits a day in a neutral mood.
    mood : log of the factor that multiplies a person's rate of visits.
    present : who has come and not left; ``left`` who has left for good.
    newcomers : how many come for the first time on a day, on average.
    """

    rate: SingleFloats
    mood: SingleFloats
    present: Flags
    left: Flags
    newcomers: float

    @classmethod
    def of(cls, users: Users, first: int) -> Self:
        """Let the ``first`` people be there and the others come later."""
        rate, present = np.exp(users.activity), np.arange(users.count) < first
        for _ in range(_ROUNDS):
            rate *= np.float32(VISITS_PER_USER) / _chance(rate[:first]).mean()
        neutral, none = np.zeros(users.count, np.float32), np.zeros(users.count, dtype=bool)
        return cls(rate, neutral, present, none, _NEWCOMERS * first)

    def come(self, seed: int, day: int) -> Flags:
        """Draw who visits on a day, [users]; one draw a person, so a better mood only adds visits."""
        drawn = generator(seed, Stream.VISITS, day).random(len(self.rate))
        return self.present & (drawn < _chance(self.rate * np.exp(self.mood)))

    def respond(self, shown: Shown, outcomes: Outcomes, seed: int, day: int) -> "Visitors":
        """Return the people after a day on which they were shown something and newcomers came."""
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
        """Return who is there once the next newcomers have come."""
        waiting = np.flatnonzero(~self.present & ~self.left)
        joined = self.present.copy()
        joined[waiting[: rng.poisson(self.newcomers)]] = True
        return joined


def _chance(rate: SingleFloats) -> SingleFloats:
    return -np.expm1(-rate)


def _satisfying(events: dict[str, Happened], count: int) -> Flags:
    """Return which shown rows were dwelt on for a minute and neither hidden nor reported, [rows]."""
    content = np.zeros(count, dtype=bool)
    content[events["dwell"].row[events["dwell"].value >= LINGER_SECONDS]] = True
    for complaint in ("hide", "report"):
        content[events[complaint].row] = False
    return content
