"""False positives and power of experiment read-outs: ``python -m benchmarks.experiment_readouts``.

Users are drawn who return, differ in how often they come and in how they act, and keep their habits from a
pre-period. Arms are equal (A/A): a read-out that is right says so in 95 %. The table of effects compares
intervals by request, by user, and by user adjusted for history; that of looks, what a reader stops who looks
every day. The table of sample ratios counts the runs
of 14 daily looks that alarm, with the declared shares and where a tenth of the treated users is lost.
"""

import argparse
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from tasks.experiments.always_valid import (
    Stage,
    first_alarm,
    log_e_values,
    planned_information,
    sequential_interval,
)
from tasks.experiments.arm_effects import ArmUsers, arm_effect

Floats = npt.NDArray[np.float64]
DAYS: Final = 14
RAMP: Final = (0.01, 0.05, 0.25, 0.5)
EFFECT: Final = 0.05
"""Smallest effect of the experiment, where its always-valid interval is narrowest."""
HALF: Final = np.array([0.5, 0.5])


def draw_users(users: int, rng: np.random.Generator) -> tuple[ArmUsers, ArmUsers]:
    """Return an A/A experiment by user, with its history, and the same by request."""
    visits, habit = rng.gamma(2.0, 2.0, users), rng.beta(20.0, 180.0, users)
    requests, past = rng.poisson(visits) + 1, rng.poisson(visits)
    treated = rng.random(users) < 0.5
    of = np.repeat(np.arange(users), requests)
    clicks = rng.binomial(12, habit[of]).astype(float)
    shown = np.full(len(of), 12.0)
    history = rng.binomial(12 * past, habit).astype(float)
    clicked = np.bincount(of, clicks).astype(np.float64)
    shown_by_user, shown_before = (12.0 * requests).astype(np.float64), (12.0 * past).astype(np.float64)
    by_user = ArmUsers(treated, clicked, shown_by_user, (history, shown_before))
    return by_user, ArmUsers(treated[of], clicks, shown)


def count_effects(users: int, runs: int) -> Iterator[tuple[str, float, float]]:
    """Yield each read-out with its false positives and its mean standard error."""
    found: dict[str, list[tuple[bool, float]]] = {"by request": [], "by user": [], "by user, history": []}
    for seed in range(runs):
        by_user, by_request = draw_users(users, np.random.default_rng(seed))
        plain = ArmUsers(by_user.treated, by_user.numerator, by_user.denominator)
        for name, rows in zip(found, (by_request, plain, by_user), strict=True):
            effect = arm_effect(rows)
            seen = effect.interval()
            found[name].append((not seen.low <= 0 <= seen.high, effect.log_error))
    for name, each in found.items():
        yield name, float(np.mean([one for one, _ in each])), float(np.mean([error for _, error in each]))


def count_looks(users: int, runs: int) -> Iterator[tuple[str, float, float]]:
    """Yield each interval with the runs in which one of 14 looks excludes 0, and its last width."""
    stopped, width = np.zeros((2, runs), dtype=bool), np.zeros((2, runs))
    planned = planned_information(EFFECT)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        visits, habit = rng.gamma(0.5, 0.6, users), rng.beta(20.0, 180.0, users)
        treated, clicks, shown = rng.random(users) < 0.5, np.zeros(users), np.zeros(users)
        for _ in range(DAYS):
            today = 12 * rng.poisson(visits)
            shown, clicks = shown + today, clicks + rng.binomial(today, habit)
            seen = shown > 0
            effect = arm_effect(ArmUsers(treated[seen], clicks[seen], shown[seen]))
            half = 1.96 * effect.log_error
            fixed = (effect.log_change - half, effect.log_change + half)
            always = sequential_interval(effect.log_change, effect.log_error, planned=planned)
            for at, (low, high) in enumerate((fixed, always)):
                stopped[at, seed] |= not low <= 0 <= high
                width[at, seed] = high - low
    for at, name in enumerate(("95 % a day", "always-valid")):
        yield name, float(stopped[at].mean()), float(width[at].mean())


def draw_counts(rng: np.random.Generator, share: float, days: int, *, lost: float = 0.0) -> Floats:
    """Return new users by day and arm, treated last: 4,000 on the first day, a fifth fewer each day."""
    new = (4000 * 0.8 ** np.arange(days)).astype(int)
    treated = rng.binomial(new, share)
    return np.column_stack([new - treated, rng.binomial(treated, 1 - lost)]).astype(float)


def count_ratios(runs: int) -> Iterator[tuple[str, str, float, str]]:
    """Yield test, world, the share of runs that alarm, and the median day of the alarms."""
    for world, shares, lost in (("50/50", (0.5,), 0.0), ("ramp", RAMP, 0.0), ("a tenth lost", (0.5,), 0.1)):
        alarms: dict[str, list[int | None]] = {"e-value": [], "chi-squared a day": [], "pooled": []}
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            length = DAYS if len(shares) == 1 else 4
            stages = [
                Stage(draw_counts(rng, one, length, lost=lost), np.array([1 - one, one])) for one in shares
            ]
            alarms["e-value"].append(first_alarm(log_e_values(stages)))
            tests = [chi_squared(stage.counts, stage.shares) for stage in stages]
            alarms["chi-squared a day"].append(first(np.concatenate(tests) < 0.01))
            pooled = chi_squared(np.concatenate([one.counts for one in stages]), stages[-1].shares)
            alarms["pooled"].append(first(pooled < 0.01))
        for test, found in alarms.items():
            days = [day + 1 for day in found if day is not None]
            yield test, world, len(days) / runs, f"{np.median(days):.0f}" if days else ""


def first(alarms: npt.NDArray[np.bool_]) -> int | None:
    """Return the place of the first alarm."""
    return int(np.argmax(alarms)) if alarms.any() else None


def chi_squared(counts: Floats, shares: Floats) -> Floats:
    """Return the p-value of the counts so far after each day."""
    seen = np.cumsum(counts, axis=0)
    expected = seen.sum(axis=1, keepdims=True) * shares
    return np.asarray(stats.chi2.sf(((seen - expected) ** 2 / expected).sum(axis=1), 1))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--users", type=int, default=4000)
    given = parser.parse_args()
    print("| A/A at 5 % | false positives | mean error of the log change |\n| --- | --- | --- |")
    for name, share, error in count_effects(given.users, given.runs):
        print(f"| {name} | {share:.3f} | {error:.4f} |", flush=True)
    print("\n| 14 looks at A/A | runs that exclude 0 | width at the end |\n| --- | --- | --- |")
    for name, share, width in count_looks(given.users, max(1, given.runs // 4)):
        print(f"| {name} | {share:.3f} | {width:.4f} |", flush=True)
    print("\n| sample ratio | world | runs that alarm | median day |\n| --- | --- | --- | --- |")
    for test, world, share, day in count_ratios(given.runs):
        print(f"| {test} | {world} | {share:.3f} | {day} |", flush=True)


if __name__ == "__main__":
    main()
