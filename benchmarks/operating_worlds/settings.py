"""What a release is compared with, and by which log.

::

    champion    the world's log, against the champion
    first       the same log, a first release against the logged order
    estimated   the same log, with an examination curve that is estimated instead of known
    shown       the shown rows alone, no candidates: a replay can only reorder them
    fading      labels are known less often down the page, whatever the outcome: 95 % at the first place, 20 %
                at the twelfth; the heads have learned from such labels
    own logs    the log that the loop has written itself (`own_logs.py`)
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.operating_worlds.own_logs import REPLAY, explores, served_for_weeks
from benchmarks.operating_worlds.policies import BETTER, EQUAL, HARMED, MIXED
from benchmarks.operating_worlds.scored_slice import Floats, ScoredSlice
from benchmarks.operating_worlds.truth import looks
from benchmarks.operating_worlds.worlds import World
from tasks import columns as c

Make = Callable[[ScoredSlice, int], ScoredSlice]

_SOME: Final = (EQUAL, BETTER, "clicks only", "no costs", "random order", f"{MIXED}random order", HARMED)
"""The releases of settings that differ in the log alone."""
_SEEN: Final = (0.95, 0.2)
"""Share of the labels that is known at the first and at the last place."""


@dataclass(frozen=True)
class Setting:
    """A way of putting releases before the gate.

    Attributes
    ----------
    title : what tables call it.
    releases : those that are judged; None is all.
    log : makes the log of a world's test slice, by the world's seed.
    first : whether the releases are first ones.
    estimated : whether the examination curve is estimated.
    complete : whether all candidates are logged.
    """

    title: str
    releases: Collection[str] | None = _SOME
    log: Make = lambda data, _: data
    first: bool = False
    estimated: bool = False
    complete: bool = True


def _shown_alone(data: ScoredSlice, _: int) -> ScoredSlice:
    """Return the rows that were shown."""
    return data.only(data.shown)


def _fading(data: ScoredSlice, seed: int) -> ScoredSlice:
    """Return the slice with fewer known labels further down the page, and heads of such labels' level."""
    position = data.candidates[c.POSITION].to_numpy(dtype=np.float64, na_value=np.nan)
    first, last = _SEEN
    share = first - (first - last) * (position - 1) / max(np.nanmax(position) - 1, 1)
    unknown = data.shown & (np.random.default_rng(seed).random(len(share)) >= share)
    labels = {task: data.candidates[task].mask(unknown) for task in data.tasks}
    champion, challenger = (
        {name: said * _level(data, said, data.truth[name], share) for name, said in heads.items()}
        for heads in (data.champion, data.challenger)
    )
    candidates = data.candidates.assign(**labels)
    return replace(data, candidates=candidates, champion=champion, challenger=challenger)


def _level(data: ScoredSlice, said: Floats, truth: Floats, share: Floats) -> float:
    """Return by what a head's predictions are higher once its labels are known in these shares.

    Calibration makes predictions and outcomes sum to the same, over the labels that are known.
    """
    positions = data.candidates[c.POSITION].fillna(0).to_numpy(dtype=np.int64)
    outcomes, weights = looks(positions)[data.shown] * truth[data.shown], share[data.shown]
    predicted = said[data.shown]
    known = np.sum(weights * outcomes) / np.sum(weights * predicted)
    return float(known * np.sum(predicted) / np.sum(outcomes))


CHAMPION: Final = "champion"
FIRST: Final = "first"
SHOWN: Final = "shown"
OWN_LOGS: Final = "own_logs"
SETTINGS: Final = {
    CHAMPION: Setting("against a champion", releases=None),
    FIRST: Setting("a first release, against the log", releases=None, first=True),
    "estimated": Setting("against a champion, places' examination estimated", releases=None, estimated=True),
    SHOWN: Setting("against a champion, only shown items logged", log=_shown_alone, complete=False),
    "fading": Setting("against a champion, fewer labels known down the page", log=_fading),
    OWN_LOGS: Setting("against a champion, on logs of the loop itself", log=served_for_weeks),
}


def logged(world: World, data: ScoredSlice, setting: str) -> ScoredSlice:
    """Return a world's test slice as a setting logs it; own logs take a minute, so they are written once."""
    if setting != OWN_LOGS:
        return SETTINGS[setting].log(data, world.seed)
    file = world.folder / f"{setting}.parquet"
    if not file.exists():
        SETTINGS[setting].log(data, world.seed).write(file)
    return replace(ScoredSlice.read(file, world.workspace), serving=explores(data, REPLAY))
