"""Errors and coverage of early estimates: ``python -m benchmarks.early_estimates``.

A day has about 300 events within seven days, whose delays are exponential with a half-life of one day. In
three worlds they are stable, or their mean differs by 15 % from day to day, or it rises by half on one day.
Printed by the age at which a day is read: the naive error, events so far by all that are predicted; the root
mean square error of the estimate; and how often its interval holds what has matured, with tau and with counts
only. Last, a world in which rows that convert slowly become more frequent, by strata and without.
"""

import argparse
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.monitoring.early import EarlyEstimates, estimate_early

Floats = npt.NDArray[np.float64]

WINDOW: Final = 7
EVENTS: Final = 300
BEFORE: Final = 56
READ: Final = 100
DAYS: Final = BEFORE + READ + WINDOW
CHANGED: Final = BEFORE + 64
AGES: Final = 3


@dataclass(frozen=True)
class World:
    """How the mean delay, in days, moves."""

    name: str
    varies: float = 0.0
    rises: float = 0.0

    def delays(self, rng: np.random.Generator) -> Floats:
        """Draw the mean delay of each day."""
        mean = np.exp(self.varies * rng.standard_normal(DAYS)) / np.log(2)
        return np.asarray(mean * np.where(np.arange(DAYS) >= CHANGED, 1 + self.rises, 1.0))


WORLDS: Final = (
    World("stable delays"),
    World("mean delay varies by 15 % a day", varies=0.15),
    World("delays +50 % from one day on", rises=0.5),
)


def draw(events: Floats, delays: Floats, rng: np.random.Generator) -> Floats:
    """Return events by day and by days after it [days, 8], for expected events and mean delays by day."""
    arrived = np.zeros((DAYS, WINDOW + 1))
    for day, count in enumerate(rng.poisson(events)):
        delay = rng.exponential(delays[day], count)
        after = (rng.random(count) + delay)[delay < WINDOW]
        arrived[day] = np.bincount(after.astype(int), minlength=WINDOW + 1)
    return arrived


def errors(estimates: EarlyEstimates) -> Floats:
    """Return ln(estimate / matured) of the days that are read, [days, ages]."""
    read = slice(BEFORE, BEFORE + READ)
    return np.asarray(np.log(estimates.value[read, :AGES] / estimates.matured[read, None]))


def held(estimates: EarlyEstimates, predicted: Floats, arrived: Floats) -> Floats:
    """Return whether intervals hold the target, counts only and with tau, [2, days, ages]."""
    read = slice(BEFORE, BEFORE + READ)
    seen = arrived.sum(axis=1).cumsum(axis=1)[read, :AGES]
    share = seen / estimates.value[read, :AGES] / predicted.sum(axis=1)[read, None]
    counted = np.abs(errors(estimates)) < 1.96 * np.sqrt((1 - share) / seen)
    return np.stack([counted, estimates.reconciled[read, :AGES]])


def print_world(world: World, runs: int) -> None:
    """Print a row of the first table."""
    naive, squares, inside = np.zeros((runs, AGES)), np.zeros((runs, AGES)), np.zeros((runs, 2, AGES))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        level = np.exp(0.1 * rng.standard_normal(DAYS))
        arrived = draw(EVENTS * level, world.delays(rng), rng)[:, None]
        predicted = np.full((DAYS, 1), float(EVENTS))
        estimates = estimate_early(predicted, arrived)
        naive[seed] = estimates.shares[BEFORE : BEFORE + READ, :AGES].mean(axis=0) - 1
        squares[seed] = (errors(estimates) ** 2).mean(axis=0)
        inside[seed] = held(estimates, predicted, arrived).mean(axis=1)
    shares = [", ".join(f"{share:.3f}" for share in one) for one in inside.mean(axis=0)]
    wrong, rms = ([", ".join(f"{x:.0%}" for x in one)] for one in (naive.mean(0), squares.mean(0) ** 0.5))
    print(f"| {world.name} | {wrong[0]} | {rms[0]} | {shares[0]} | {shares[1]} |", flush=True)


def print_strata(runs: int) -> None:
    """Print the mean error where half of the predicted events convert three times as slowly, then more."""
    print("\n| slow rows, of the predicted | strata | mean error at the end of days 1, 2, 3 |")
    print("| --- | --- | --- |")
    mean = {strata: np.zeros((runs, AGES)) for strata in ("one", "by prediction")}
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        slow = np.where(np.arange(DAYS) >= CHANGED, 0.6, 0.3)
        drawn = EVENTS * np.column_stack([1 - slow, slow])
        delays = np.array([1, 3]) / np.log(2)
        predicted = drawn * -np.expm1(-WINDOW / delays)
        arrived = np.stack([draw(drawn[:, n], np.full(DAYS, delays[n]), rng) for n in (0, 1)], axis=1)
        new = slice(CHANGED, CHANGED + WINDOW)
        for strata, one in (("one", 1), ("by prediction", 2)):
            split = (np.add.reduceat(each, range(one), axis=1) for each in (predicted, arrived))
            estimates = estimate_early(*split)
            away = np.log(estimates.value[new, :AGES] / estimates.matured[new, None])
            mean[strata][seed] = np.expm1(away.mean(axis=0))
    for strata, found in mean.items():
        printed = ", ".join(f"{x:+.1%}" for x in found.mean(axis=0))
        print(f"| 30 % to 60 % | {strata} | {printed} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    runs = parser.parse_args().runs
    print("| world | naive error at the end of days 1, 2, 3 | rms error | coverage, counts only | with tau |")
    print("| --- | --- | --- | --- | --- |")
    for world in WORLDS:
        print_world(world, runs)
    print_strata(runs)


if __name__ == "__main__":
    main()
