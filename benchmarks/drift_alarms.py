"""False alarms and delays of drift alarms: ``python -m benchmarks.drift_alarms``.

Twenty series of log(observed / predicted) are drawn, each day normal with a standard deviation of 7.8 % and a
lag-1 correlation h. First nothing changes for 100 weeks: printed are alarms in 100 weeks over all series, by
`tasks.monitoring.alarms` and by what is common. Then every series' level shifts on one day: printed are
the share that is found within 28 days and the quartiles of the days until then, that day included. Last,
distances between weekly counts are compared with the floor of eight weeks, where weeks move the shares of the
values and where they do not, and days of twenty features with the bound of 28 train days: printed are alarms
in 100 weeks over all features, one a week at most of each, and the share of days beyond the bound where the
level is one and a half standard deviations away.
"""

import argparse
import itertools
from collections.abc import Callable
from typing import Final
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from tasks.monitoring import alarms
from tasks.monitoring.alarms import HISTORY, REFERENCE, detect_drift
from tasks.release.inputs import Learned
from tasks.validation.trailing import chance_divergence, divergence

Floats = npt.NDArray[np.float64]

SERIES: Final = 20
WATCHED: Final = 700
DEVIATION: Final = 0.078
WITHIN: Final = 28


def draw(h: float | Floats, days: int, rng: np.random.Generator) -> Floats:
    """Draw series [20, days] whose neighbouring days correlate by h, one number or one by series."""
    persistent = np.broadcast_to(h, SERIES)
    series = rng.standard_normal((SERIES, days))
    for day in range(1, days):
        series[:, day] = persistent * series[:, day - 1] + np.sqrt(1 - persistent**2) * series[:, day]
    return DEVIATION * series


def count(series: Floats) -> int:
    """Return the alarms of the e-detector."""
    return len(detect_drift(series).alarms)


def count_beyond(limit: float) -> Callable[[Floats], int]:
    """Count days whose own z lies beyond a limit."""
    return lambda series: int((np.abs(detect_drift(series).z) > limit).sum())


def count_without_correlation(series: Floats) -> int:
    """Count the alarms of an e-detector to which neighbouring days are independent."""
    with patch.object(alarms, "_MOST_PERSISTENT", 0.0):
        return count(series)


def count_by_kind(series: Floats) -> int:
    """Count alarms where the first ten series are of another kind than the last ten."""
    return len(detect_drift(series, kinds=["a"] * 10 + ["b"] * 10).alarms)


def print_false_alarms(runs: int) -> None:
    """Print how often nothing but chance raises an alarm."""
    mixed = np.repeat([0.0, 0.8], 10)
    a_day = -float(ndtri(0.025 / SERIES))
    rows: list[tuple[str, str, float | Floats, Callable[[Floats], int]]] = [
        *(("e-detector", f"{h}", h, count) for h in (0.0, 0.3, 0.5)),
        ("e-detector without h", "0.5", 0.5, count_without_correlation),
        ("abs(z) > 1.96 a day", "0.0", 0.0, count_beyond(1.96)),
        ("Bonferroni a day", "0.0", 0.0, count_beyond(a_day)),
        ("e-detector, one kind", "0 and 0.8", mixed, count),
        ("e-detector, two kinds", "0 and 0.8", mixed, count_by_kind),
    ]
    print("| alarm | h | runs | alarms in 100 weeks |")
    print("| --- | --- | --- | --- |")
    for name, label, h, alarmed in rows:
        series = (draw(h, HISTORY - 1 + WATCHED, np.random.default_rng(seed)) for seed in range(runs))
        found = np.array([alarmed(one) for one in series])
        error = found.std(ddof=1) / np.sqrt(runs)
        print(f"| {name} | {label} | {runs} | {found.mean():.2f} +- {1.96 * error:.2f} |", flush=True)


def delays(shift: float, h: float, runs: int) -> Floats:
    """Return the days until each drift is found, infinite where 28 are not enough."""
    until = np.full((runs, SERIES), np.inf)
    for seed in range(runs):
        series = draw(h, HISTORY + WITHIN, np.random.default_rng(seed))
        series[:, HISTORY:] += np.log1p(shift)
        for alarm in detect_drift(series).alarms:
            if alarm.day >= HISTORY:
                until[seed, alarm.series] = min(until[seed, alarm.series], alarm.day - HISTORY + 1)
    return until.ravel()


def print_delays(runs: int) -> None:
    """Print how soon a shift is found."""
    print("\n| shift | h | reference ends | drifts | found in 28 days | days until found, quartiles |")
    print("| --- | --- | --- | --- | --- | --- |")
    for shift, h in itertools.product((-0.2, 0.2, -0.1, 0.1, -0.05), (0.0, 0.3)):
        print_delay(shift, h, "14 days before", runs)
    with patch.object(alarms, "HISTORY", REFERENCE + 1):
        print_delay(-0.1, 0.0, "the day before", runs)


def print_delay(shift: float, h: float, ends: str, runs: int) -> None:
    """Print a row."""
    until = delays(shift, h, runs)
    quartiles = np.quantile(until, [0.25, 0.5, 0.75], method="higher")
    printed = ", ".join("more" if np.isinf(each) else f"{each:.0f}" for each in quartiles)
    found = np.isfinite(until).mean()
    print(f"| {shift:+.0%} | {h} | {ends} | {until.size} | {found:.2f} | {printed} |", flush=True)


def distance_floor(weeks: Floats) -> float:
    """Return the largest distance between two past weeks of counts, shape (weeks, values)."""
    one, other = np.triu_indices(len(weeks), 1)
    return float(divergence(weeks[one], weeks[other]).max())


def print_floors(runs: int) -> None:
    """Print how often a week that is like the others lies beyond the floor, or beyond chance of its rows."""
    print("\n| weeks move shares by | week | runs | beyond the floor | beyond chance of rows at 1 % |")
    print("| --- | --- | --- | --- | --- |")
    for moved, shifted in itertools.product((0.0, 0.1), (0.0, 0.5)):
        rng, beyond = np.random.default_rng(0), np.zeros((20 * runs, 2), dtype=bool)
        for run in range(len(beyond)):
            logits = moved * rng.standard_normal((9, 10))
            logits[-1] += shifted * rng.standard_normal(10)
            shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            weeks = np.array([rng.multinomial(20_000, each) for each in shares], dtype=float)
            before, newest = weeks[:-1].sum(axis=0, keepdims=True), weeks[-1:]
            distance = divergence(before, newest)[0]
            chance = chance_divergence(before, newest, false_alarm_rate=0.01)[0]
            beyond[run] = distance > distance_floor(weeks[:-1]), distance > chance
        week = f"moved by {shifted:.0%}" if shifted else "like the others"
        printed = " | ".join(f"{share:.3f}" for share in beyond.mean(axis=0))
        print(f"| {moved:.0%} | {week} | {len(beyond)} | {printed} |", flush=True)


def feature(level: float, rows: int, rng: np.random.Generator, *, categorical: bool) -> Floats:
    """Draw a day of a feature: a normal around a level, or ten categories whose shares follow it."""
    normal = level + rng.standard_normal(rows)
    return np.clip(np.floor(2 * normal + 5), 0, 9) if categorical else normal


def count_feature_alarms(moved: float, rows: int, seed: int, *, away: float = 0.0) -> tuple[int, int]:
    """Return the alarms of twenty features in 700 days, and the days beyond the bounds."""
    rng, alarms, beyond = np.random.default_rng(seed), 0, 0
    for one in range(SERIES):
        levels = moved * draw(0.3, 28 + WATCHED, rng)[0] / DEVIATION
        levels[28:] += away
        days = [feature(level, rows, rng, categorical=one % 2 == 1) for level in levels]
        learned = Learned("x", one % 2 == 1, np.concatenate(days[:28]), np.repeat(np.arange(28), rows))
        until = -1
        for day, values in enumerate(days[28:]):
            found = learned.distance(values)
            if found is not None and found[0] > found[1]:
                beyond += 1
                if day > until:
                    alarms, until = alarms + 1, day + 6
    return alarms, beyond


def print_feature_alarms(runs: int) -> None:
    """Print how often a day that is like the train days lies beyond their bound, and one that is not."""
    print(
        "\n| features: days move the level by | rows a day | runs | alarms in 100 weeks | found, 1.5 away |"
    )
    print("| --- | --- | --- | --- | --- |")
    for moved, rows in itertools.product((0.0, 0.1, 0.3), (200, 1_500)):
        alarms = np.array([count_feature_alarms(moved, rows, seed)[0] for seed in range(runs)])
        found = count_feature_alarms(moved, rows, 0, away=1.5)[1] / (SERIES * WATCHED)
        error = alarms.std(ddof=1) / np.sqrt(runs)
        printed = f"{alarms.mean():.2f} +- {1.96 * error:.2f}"
        print(f"| {moved:g} sd | {rows:,} | {runs} | {printed} | {found:.2f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    print_false_alarms(runs)
    print_delays(runs)
    print_floors(runs)
    print_feature_alarms(max(2, runs // 4))


if __name__ == "__main__":
    main()
