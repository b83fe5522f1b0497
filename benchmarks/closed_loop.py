"""What exploration costs and what it finds: ``python -m benchmarks.closed_loop``.

A feed of 300 items, a tenth new each week, is served for eight weeks by what was learned from its own log.
Nearly all items are candidates of every request. Every week each item's click rate is estimated from its
clicks and looks so far, shrunk to the rate of the whole log; logged affinity shifts it as it truly does. Ten
slots are filled by it, the last one by

::

    none            the next best candidate
    uniform         any other candidate
    unseen first    the candidate with the fewest looks so far

Printed, with the figures that were expected: the true value of the slates relative to the oracle's, the share
of the best tenth of the items that nobody was ever shown, and predicted / true clicks of candidates in the
second four weeks that were not shown, and of those that were.
"""

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.operating_worlds.truth import looks
from tasks import columns as c
from tasks.datasets.world.entities import SHELVES, VISIBLE_RATE
from tasks.datasets.world.loop import ClosedLoop, LoopDay, Served

Floats = npt.NDArray[np.float64]

ITEMS: Final = 300
WEEKS: Final = 8
SLOTS: Final = 10
TASK: Final = "click_30m"
AFFINITY: Final = 0.45
"""What a unit of affinity truly adds to the log odds of a click."""
EXPECTED: Final = {
    "none": (0.868, 0.18, 1.9),
    "uniform": (0.860, 0.08, None),
    "unseen first": (0.863, 0.07, None),
}
"""Expected value relative to the oracle, unexposed share of the best tenth, predicted / true unshown."""


class Learner:
    """Serves by item rates of its own log.

    Parameters
    ----------
    exploration : how the last slot is filled.
    items : how many there are.
    prior : looks that the mean of the log counts for.
    """

    def __init__(self, exploration: str, *, seed: int, items: int, prior: float) -> None:
        self.exploration, self.seed, self.prior = exploration, seed, prior
        self.clicks, self.looks, self.rates = np.zeros(items), np.zeros(items), np.ones(items)
        self.liking = self.predicted = np.empty((0, 0))

    def __call__(self, candidates: pd.DataFrame) -> Served:
        """Fill the slots of a day's requests."""
        rng = np.random.default_rng([self.seed, len(candidates)])
        item = item_numbers(candidates).reshape(candidates[c.REQUEST_ID].nunique(), -1)
        affinity = candidates["user_category_affinity"].to_numpy(np.float64).reshape(item.shape)
        self.liking = np.exp(AFFINITY * affinity)
        self.predicted = self.rates[item] * self.liking
        position = fill(self.predicted, SLOTS)
        propensity = np.ones(item.shape)
        if self.exploration != "none":
            position[position == SLOTS] = 0
            left = np.where(position > 0, -np.inf, rng.random(item.shape))
            if self.exploration == "unseen first":
                left -= self.looks[item]
            position[np.arange(len(item)), left.argmax(axis=1)] = SLOTS
            propensity[position == SLOTS] = 1 / (item.shape[1] - SLOTS + 1)
        return Served(position.ravel(), propensity.ravel())

    def see(self, day: LoopDay) -> None:
        """Count a day's clicks and looks."""
        rendered = VISIBLE_RATE * looks(day.shown.position)
        np.add.at(self.looks, day.shown.item, rendered * self.liking.ravel()[day.shown.row])
        (clicks,) = (kind for kind in day.outcomes.events if kind.event == "click")
        np.add.at(self.clicks, day.shown.item[clicks.row], 1.0)

    def learn(self) -> None:
        """Estimate every item's rate."""
        mean = self.clicks.sum() / self.looks.sum()
        self.rates = (self.clicks + self.prior * mean) / (self.looks + self.prior)


def item_numbers(candidates: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the place of each candidate's item in the catalogue, [n]."""
    items = candidates[c.ITEM_ID].astype("category")
    named = [text[1:].split("-") for text in items.cat.categories]
    numbers = np.array([int(generation) * SHELVES + int(shelf) for shelf, generation in named])
    return numbers[items.cat.codes.to_numpy()]


def fill(value: Floats, slots: int) -> npt.NDArray[np.int64]:
    """Return the slots from 1 of the best candidates of each request, 0 for the others."""
    rank = np.argsort(np.argsort(-value, axis=1, kind="stable"), axis=1)
    return np.where(rank < slots, rank + 1, 0)


def value_of(truth: Floats, position: npt.NDArray[np.int64]) -> float:
    """Return the clicks that slates truly get."""
    return float((truth * looks(position)).sum())


@dataclass(frozen=True)
class Found:
    """The figures of a run."""

    value: float
    unexposed: float
    unshown: float
    shown: float


def run(exploration: str, *, seed: int, requests: int, prior: float) -> Found:
    """Serve eight weeks of a world."""
    loop = ClosedLoop(seed=seed, requests_per_day=requests, days=7 * WEEKS, shelves=ITEMS)
    learner = Learner(exploration, seed=seed, items=len(loop.world.catalog.born), prior=prior)
    values, sums, unexposed = np.zeros(2), np.zeros((2, 2)), list[float]()
    for number in range(7 * WEEKS):
        day = loop.play(learner)
        truth = day.truth[TASK].reshape(day.batch.item.shape)
        position = day.served.position.reshape(truth.shape).astype(np.int64)
        if number >= 7:
            values += value_of(truth, position), value_of(truth, fill(truth, SLOTS))
        if number >= 7 * WEEKS // 2:
            for at, rows in enumerate((position == 0, position > 0)):
                sums[at] += learner.predicted[rows].sum(), truth[rows].sum()
        learner.see(day)
        if number % 7 == 6:
            learner.learn()
            unexposed.append(_unexposed(loop, number, learner.looks))
    shares = sums[:, 0] / sums[:, 1]
    return Found(values[0] / values[1], float(np.mean(unexposed)), *map(float, shares))


def _unexposed(loop: ClosedLoop, day: int, seen: Floats) -> float:
    """Return the share of the best tenth of the items of a day that nobody was ever shown."""
    catalog = loop.world.catalog
    items = catalog.on_shelf(day)[:ITEMS]
    liked = 0.5 * catalog.appeal.true + 0.35 * catalog.bait.true + 0.15 * catalog.quality.true
    best = items[np.argsort(-(liked - 0.125 * catalog.price_level)[items])[: ITEMS // 10]]
    return float((seen[best] == 0).mean())


def main() -> None:
    """Print a row for each exploration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--requests-per-day", type=int, default=300)
    parser.add_argument(
        "--prior", type=float, default=200.0, help="looks that the mean of the log counts for"
    )
    asked = parser.parse_args()
    print("| last of ten slots | value / oracle | best tenth unexposed | predicted / true unshown | shown |")
    print("| --- | --- | --- | --- | --- |")
    for name, expected in EXPECTED.items():
        runs = [
            run(name, seed=seed, requests=asked.requests_per_day, prior=asked.prior)
            for seed in range(asked.seeds)
        ]
        figures = [
            np.mean([getattr(one, of) for one in runs]) for of in ("value", "unexposed", "unshown", "shown")
        ]
        cells = [f"{figures[0]:.3f}", f"{figures[1]:.2f}", f"{figures[2]:.2f}", f"{figures[3]:.2f}"]
        for at, wanted in enumerate(expected):
            cells[at] += f" ({wanted})" if wanted is not None else ""
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
