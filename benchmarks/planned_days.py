"""Power that a plan of test days asks for and reaches: ``python -m benchmarks.planned_days``.

Logs are drawn in which users return, differ in how much they do, and keep a liking of their own for one of
two policies that are equal on average. Each run plans from seven days how many decide a bound in 80 %, draws
another log of so many days, and counts whether the bound is kept there (one-sided, 95 %). Beside it stands
the plan by 1 / days, as if every visit were of another user. Plans of "never" are counted apart.
"""

import argparse
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.evaluation.verdicts import Growth

Floats = npt.NDArray[np.float64]

SEEN: Final = 7
MOST: Final = 400
BOUNDS: Final = (0.15, 0.3)
_ONE_SIDED: Final = 1.644854
_DETECTED: Final = _ONE_SIDED + 0.841621


@dataclass(frozen=True)
class World:
    """Users, their visits a day, slots a visit, the chance of an outcome, and how far users differ."""

    users: int = 500
    visits: float = 0.2
    slots: int = 10
    chance: float = 0.045
    habit: float = 0.5
    liking: float = 0.6


def draw(world: World, days: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the outcomes of both policies by user and day [users, days], per expected slot of a user."""
    slots = world.slots * rng.poisson(world.visits, (world.users, days))
    habit = _effects(rng, world.habit, world.users)
    ours, theirs = (
        rng.poisson(slots * (world.chance * habit * _effects(rng, world.liking, world.users))[:, None])
        for _ in range(2)
    )
    return ours.astype(float), theirs.astype(float)


def _effects(rng: np.random.Generator, spread: float, count: int) -> Floats:
    """Draw effects log-normal, whose mean over the users that are there is 1."""
    effects = np.exp(spread * rng.standard_normal(count))
    return np.asarray(effects / effects.mean())


def growth_of(ours: Floats, theirs: Floats) -> tuple[Growth, float, float]:
    """Return the growth of a log, its log change and the standard error by user."""
    influence = ours / ours.sum() - theirs / theirs.sum()
    users, days = np.indices(influence.shape)
    growth = Growth.of(influence.ravel(), users.ravel(), days.ravel())
    assert growth is not None  # noqa: S101 - two days or more, and outcomes differ
    error = math.sqrt(float((influence.sum(axis=1) ** 2).sum()))
    return growth, math.log(ours.sum() / theirs.sum()), error


def planned(growth: Growth, error: float, bound: float) -> tuple[float, float]:
    """Return the days by the growth of information, and by 1 / days."""
    return growth.days_needed(bound), SEEN * (error * _DETECTED / math.log1p(bound)) ** 2


def keeps(world: World, days: float, bound: float, rng: np.random.Generator) -> bool:
    """Whether a log of so many days shows that the rise is within the bound."""
    _, change, error = growth_of(*draw(world, max(2, math.ceil(days)), rng))
    return change + _ONE_SIDED * error < math.log1p(bound)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs, world = parser.parse_args().runs, World()
    print("| bound | plan | runs | never | median days | power asked | reached |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for bound in BOUNDS:
        plans, reached = np.full((runs, 2), math.inf), np.zeros((runs, 2), dtype=bool)
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            growth, _, error = growth_of(*draw(world, SEEN, rng))
            plans[seed] = planned(growth, error, bound)
            for one in np.flatnonzero(plans[seed] <= MOST):
                reached[seed, one] = keeps(world, plans[seed, one], bound, rng)
        for column, name in enumerate(("a / D + b", "1 / days")):
            told = plans[:, column] <= MOST
            days, share = np.median(plans[told, column]), reached[told, column].mean()
            print(
                f"| {bound:.0%} | {name} | {runs} | {np.mean(~told):.2f} | {days:.0f} | .80 | {share:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
