"""How far a map's level should go with few positives: ``python -m benchmarks.calibration_level``.

From the weekly base rates of every binary task of weekly_circular's public logs: how far a level moves
between two weeks of training and the week after them, beyond what chance moves it. Then positives are thinned
to few, a map is fitted to one week, and its level is held against the rate of the week after, which is known
from all rows. Printed are root mean square errors in the logit, each besides as a ratio to that of the rows:

    rows alone     the level at which probabilities add up to the week's positives (half a positive for none)
    training       the level of the thinned weeks before
    shipped map    ``fit_rates``, which weighs both

Below 1 the shipped map is nearer to the truth than the rows alone; it should be at most 1 everywhere.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.calibrating.logged import LOGGED, Logged, label
from tasks.calibration.fit import fit_rates
from tasks.columns import DAY, Status, status
from tasks.ranking.maps import logit

WEEK: Final = 7
TRAINING_WEEKS: Final = 2
EXPECTED: Final = (3, 10, 30, 100)
"""Positives that a thinned week of calibration expects; those of training twice as many."""
DRAWS: Final = 200
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weeks:
    """Positives and rows [weeks] of a task."""

    task: str
    positives: Floats
    rows: Floats

    def triples(self) -> Iterator[tuple[tuple[float, float], tuple[float, float], tuple[float, float]]]:
        """Yield positives and rows of training, of calibration and of the week after."""
        for week in range(TRAINING_WEEKS, len(self.rows) - 1):
            before = slice(week - TRAINING_WEEKS, week)
            yield (
                (float(self.positives[before].sum()), float(self.rows[before].sum())),
                (float(self.positives[week]), float(self.rows[week])),
                (float(self.positives[week + 1]), float(self.rows[week + 1])),
            )


def main() -> None:
    """Print how far levels move, and the errors of three levels."""
    tasks = list(_read(LOGGED["weekly_circular"]))
    print("| task | weeks | movement of the level |\n| --- | --- | --- |")
    for weeks in tasks:
        print(f"| {weeks.task} | {len(weeks.rows)} | {_movement(weeks):.3f} |")
    print("\n| expected positives | rows alone | training | ratio | shipped map | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for expected in EXPECTED:
        alone, training, shipped = _errors(tasks, expected)
        print(
            f"| {expected} | {alone:.3f} | {training:.3f} | {training / alone:.2f} "
            f"| {shipped:.3f} | {shipped / alone:.2f} |"
        )


def _read(logged: Logged) -> Iterator[Weeks]:
    """Label a data set and yield the weekly counts of its binary tasks."""
    with tempfile.TemporaryDirectory() as folder:
        workspace, snapshot = label(logged, Path(folder))
        for task, spec in workspace.contracts.tasks.tasks.items():
            if spec.kind == "binary":
                observed = f"{status(task)} = '{Status.OBSERVED}'"
                yield _count_weeks(task, snapshot.read([DAY, task], where=observed).to_pandas())


def _count_weeks(task: str, rows: pd.DataFrame) -> Weeks:
    """Count by week before the newest day; the first may be cut short and is left out."""
    days = pd.to_datetime(rows[DAY])
    week = (days.max() - days).dt.days // WEEK
    counts = rows.groupby(week)[task].agg(["sum", "count"]).sort_index(ascending=False)
    positives, number = counts.iloc[1:].to_numpy(dtype=np.float64).T
    return Weeks(task, positives, number)


def _movement(weeks: Weeks) -> float:
    """Return the standard deviation of a level's change in the logit, without that of chance."""
    changes, chance = [], []
    for (trained, trained_rows), (seen, seen_rows), _ in weeks.triples():
        if trained and seen:
            changes.append(float(logit(seen / seen_rows) - logit(trained / trained_rows)))
            chance.append(1 / trained + 1 / seen)
    return max(0.0, float(np.mean(np.square(changes)) - np.mean(chance))) ** 0.5


def _errors(tasks: list[Weeks], expected: int) -> tuple[float, float, float]:
    """Return the errors of rows alone, of training and of the shipped map."""
    rng = np.random.default_rng(expected)
    errors = [
        _errors_of_draw(rng, triple, expected / triple[1][0])
        for weeks in tasks
        for triple in weeks.triples()
        if triple[1][0] > expected and triple[2][0]
        for _ in range(max(1, DRAWS // len(weeks.rows)))
    ]
    alone, training, shipped = np.sqrt(np.mean(np.square(errors), axis=0)).tolist()
    return alone, training, shipped


def _errors_of_draw(
    rng: np.random.Generator, triple: tuple[tuple[float, float], ...], share: float
) -> tuple[float, float, float]:
    """Thin the positives of a triple; return how far each level is from that of the week after."""
    (trained, trained_rows), (seen, seen_rows), (after, after_rows) = triple
    truth = float(logit(share * after / after_rows))
    learned = max(0.5, float(rng.poisson(share * trained))) / trained_rows
    counted = float(rng.poisson(share * seen))
    alone = max(0.5, counted) / seen_rows
    return (
        float(logit(alone)) - truth,
        float(logit(learned)) - truth,
        float(logit(_shipped(learned, counted, seen_rows))) - truth,
    )


def _shipped(learned: float, counted: float, rows: float) -> float:
    """Return the level of the map where a head says the same of all rows; without positives there is none."""
    if not counted:
        return learned
    fitted = fit_rates(
        np.array([learned]),
        np.array([counted / rows]),
        np.array([rows]),
        positives=np.array([counted]),
        negatives=np.array([rows - counted]),
    )
    return float(fitted.apply([learned])[0])


if __name__ == "__main__":
    main()
