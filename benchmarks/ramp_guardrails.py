"""False stops and alarms of a ramp's guardrail: ``python -m benchmarks.ramp_guardrails``.

People draw their activity and their habit of hiding, 2,000 requests of six examined impressions a day come
from 10,000 of them, and a nested share of them is treated. Printed with the figures that were expected:

::

    false stops   a true rise equal to the guardrail's bound, over 14 daily looks, by three methods
    found         rises that are stopped within five days, by share
    advance       stages that end although the true rise equals their harm, and days until equal releases end
"""

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.contracts.gates import Ramp
from tasks.experiments.always_valid import LogRatio, planned_information, stratified_log_ratio

Floats = npt.NDArray[np.float64]

PEOPLE: Final = 10_000
REQUESTS: Final = 2_000
EXAMINED: Final = 6
RATE: Final = 0.014
BOUND: Final = 0.15
LOOKS: Final = 14
FOUND_WITHIN: Final = 5
RAMP: Final = Ramp(guardrails=("hide_7d_rate", "report_7d_rate", "satisfied_7d_rate"))
ALPHA: Final = RAMP.alpha / len(RAMP.guardrails)
PLANNED: Final = planned_information(RAMP.stages[-1].harm)
LEVEL: Final = 1.959964


@dataclass(frozen=True)
class World:
    """Shares by day, the growth of the base rate a day, how far people differ, and the true rise."""

    shares: tuple[float, ...]
    growth: float = 0.0
    habit: float = 0.5
    rise: float = BOUND


@dataclass
class Log:
    """The rows of people's days so far."""

    users: list[npt.NDArray[np.int64]] = field(default_factory=list)
    days: list[npt.NDArray[np.int64]] = field(default_factory=list)
    treated: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    examined: list[Floats] = field(default_factory=list)
    events: list[Floats] = field(default_factory=list)

    def ratio(self) -> LogRatio:
        """Return the ratio by day."""
        return self._ratio(np.concatenate(self.days))

    def pooled(self) -> LogRatio:
        """Return the ratio of all days together."""
        return self._ratio(np.zeros_like(np.concatenate(self.users)))

    def _ratio(self, strata: npt.NDArray[np.int64]) -> LogRatio:
        examined, events = np.concatenate(self.examined), np.concatenate(self.events)
        return stratified_log_ratio(
            np.concatenate(self.users), strata, np.concatenate(self.treated), examined, events
        )


def days_of(world: World, rng: np.random.Generator) -> Iterator[Log]:
    """Yield the log after each day."""
    place, log = rng.random(PEOPLE), Log()
    activity = rng.gamma(0.5, 1.0, PEOPLE)
    habit = np.exp(world.habit * rng.standard_normal(PEOPLE) - world.habit**2 / 2)
    for day, share in enumerate(world.shares):
        requests = rng.poisson(REQUESTS * activity / activity.sum())
        users = np.flatnonzero(requests)
        treated, examined = place[users] < share, EXAMINED * requests[users].astype(float)
        rate = RATE * (1 + world.growth) ** day * habit[users] * np.where(treated, 1 + world.rise, 1.0)
        log.users.append(users)
        log.days.append(np.full(users.size, day))
        log.treated.append(treated)
        log.examined.append(examined)
        log.events.append(rng.poisson(examined * rate).astype(float))
        yield log


def _daily(log: Log) -> bool:
    return _beyond(log.ratio())


def _pooled(log: Log) -> bool:
    return _beyond(log.pooled())


def _beyond(ratio: LogRatio) -> bool:
    return ratio.estimate - LEVEL * ratio.error > math.log1p(BOUND)


def _always_valid(log: Log) -> bool:
    return log.ratio().exceeds(BOUND, planned=PLANNED, alpha=ALPHA)


METHODS: Final[dict[str, Callable[[Log], bool]]] = {
    "daily 95 %": _daily,
    "pooled": _pooled,
    "always valid": _always_valid,
}
WORLDS: Final = {
    "5 % share": (World((0.05,) * LOOKS), (0.12, 0.12, 0.008)),
    "ramp, rising base rate": (
        World((0.01,) * 3 + (0.05,) * 4 + (0.25,) * 4 + (0.5,) * 3, growth=0.05),
        (0.22, 1.0, 0.016),
    ),
    "50 %, very different users": (World((0.5,) * LOOKS, habit=1.5), (0.14, 0.14, 0.0)),
}
"""Each setting with the share of false stops expected of each method."""
FOUND: Final = {
    (0.01, 3.0): 0.80,
    (0.05, 1.0): 0.78,
    (0.25, 0.5): 0.70,
    (0.5, 0.3): 0.12,
    (0.5, 0.5): 0.80,
}
"""The expected share of runs in which a rise is stopped within five days, by share and rise."""


def false_stops(world: World, runs: int, seed: int) -> dict[str, float]:
    """Return the share of runs that a method stops."""
    stopped = dict.fromkeys(METHODS, 0)
    for run in range(runs):
        left = dict(METHODS)
        for log in days_of(world, np.random.default_rng((seed, run))):
            for name in [name for name, method in left.items() if method(log)]:
                stopped[name] += 1
                del left[name]
    return {name: count / runs for name, count in stopped.items()}


def found(share: float, rise: float, runs: int, seed: int) -> float:
    """Return the share of runs in which a rise is stopped within five days."""
    world = World((share,) * FOUND_WITHIN, rise=rise)
    return (
        sum(
            any(_always_valid(log) for log in days_of(world, np.random.default_rng((seed, run))))
            for run in range(runs)
        )
        / runs
    )


def advances(stage: int, rise: float, runs: int, seed: int) -> tuple[float, float, float]:
    """Return the shares of runs that advance and that are stopped, and the median day of an advance."""
    declared, ends, stopped = RAMP.stages[stage], list[int](), 0
    planned = planned_information(declared.harm)
    for run in range(runs):
        world = World((declared.share,) * RAMP.wait.most.days, rise=rise)
        for day, log in enumerate(days_of(world, np.random.default_rng((seed, run))), start=1):
            ratio = log.ratio()
            if ratio.exceeds(BOUND, planned=PLANNED, alpha=ALPHA):
                stopped += 1
                break
            if day >= RAMP.wait.least.days and ratio.upper(planned=planned, alpha=RAMP.alpha) < declared.harm:
                ends.append(day)
                break
    return len(ends) / runs, stopped / runs, float(np.median(ends)) if ends else math.nan


def main() -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"false stops over {LOOKS} daily looks, true rise {BOUND:+.0%}", *METHODS, sep="  ")
    for name, (world, expected) in WORLDS.items():
        shares = false_stops(world, asked.runs, asked.seed)
        print(
            f"{name:<28}",
            *(f"{shares[m]:.3f} (expected {e})" for m, e in zip(METHODS, expected, strict=True)),
        )
    print(f"stopped within {FOUND_WITHIN} days, bound {BOUND:+.0%}")
    for (share, rise), expected_share in FOUND.items():
        stopped = found(share, rise, asked.runs, asked.seed)
        print(f"share {share:.0%}, rise {rise:+.0%}: {stopped:.2f} (expected {expected_share})")
    print("advanced within 14 days, stopped, median day: true rise equal to the harm | equal releases")
    for stage, declared in enumerate(RAMP.stages):
        for rise in (declared.harm, 0.0):
            ended, stopped, day = advances(stage, rise, asked.runs, asked.seed)
            print(f"share {declared.share:.0%}, rise {rise:+.0%}: {ended:.3f}, {stopped:.3f}, {day:.0f}")


if __name__ == "__main__":
    main()
