"""The simulated feed cut into train, calibrate and test days; heads learned from it; how far from truth."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.learning.days import Days, draw, world
from tasks.calibration.fit import fit_binary
from tasks.contracts import load_surface
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head, Heads
from tasks.training.examples import Examples
from tasks.training.fit import Learning, fit_head

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Weigh = Callable[[Days, Bools, Floats, Floats | None], Floats | None]
"""(days, rows, labels, scores where there are any) -> what each row weighs."""

FEATURES = load_surface(Path(__file__).parents[2] / "surfaces", "home_feed").surface.features
PARAMETERS = {"num_leaves": 31, "learning_rate": 0.1, "rounds": 80, "min_data_in_leaf": 200, "lambda_l2": 5.0}


@dataclass(frozen=True)
class Feed:
    """Train, calibrate and test days of one world."""

    train: Days
    calibrate: Days
    test: Days


def feed(*, requests: int, train: int = 4, other: int = 2, seed: int = 3) -> Feed:
    """Draw a feed of so many requests a day."""
    made = world(seed=seed, users=12 * requests, days=train + 2 * other)
    ends = (0, train, train + other, train + 2 * other)
    return Feed(*(draw(made, range(*ends[i : i + 2]), requests=requests) for i in range(3)))


def unweighted(days: Days, rows: Bools, labels: Floats, scores: Floats | None) -> None:
    """Let every row weigh the same."""


def learned(
    days: Days,
    labels: Floats,
    rows: Bools,
    *,
    weigh: Weigh = unweighted,
    more: tuple[str, ...] = (),
    leaves: int = 31,
) -> Head:
    """Learn a head, not calibrated, from some rows; ``more`` are numeric features beside the surface's."""
    encoder = FeatureEncoder.fit(days.frame, (*FEATURES.numeric, *more), FEATURES.categorical)
    weights = weigh(days, rows, labels[rows], None)
    examples = Examples(
        features=encoder.matrix(days.frame[rows]),
        labels=labels[rows],
        fold=np.zeros(int(rows.sum()), dtype=bool),
        names=encoder.names,
        categorical=encoder.categorical,
        weights=None if weights is None else weights / weights.mean(),
    )
    booster = fit_head(examples, Learning(parameters={**PARAMETERS, "num_leaves": leaves})).booster
    return Head("task", "binary", booster, encoder, None)


def calibrated(
    head: Head, days: Days, labels: Floats, rows: Bools, *, weigh: Weigh = unweighted, held: bool = False
) -> Head:
    """Fit a head's calibrator; ``held`` does so on scores at the reference, as must not be done."""
    matrix = head.encoder.matrix(days.frame[rows], head.held if held else None)
    scores = head.scores(matrix)
    fitted = fit_binary(scores, labels[rows], weigh(days, rows, labels[rows], scores))
    return Head(
        head.task, head.kind, head.booster, head.encoder, fitted, held=head.held, examination=head.examination
    )


def predicted(head: Head, days: Days) -> Floats:
    """Return what a head says of every row."""
    return Heads({head.task: head}).predict(days.frame)[f"p_{head.task}"]


@dataclass(frozen=True)
class Distance:
    """How far predictions are from true probabilities.

    ``ratio`` is the sum of predictions over that of truths; ``error`` the root mean square of the difference
    of their logits.
    """

    ratio: float
    error: float

    @classmethod
    def of(cls, predicted: Floats, true: Floats) -> "Distance":
        """Measure predictions [n] against truths [n]."""
        gap = np.log(predicted / (1 - predicted)) - np.log(true / (1 - true))
        return cls(float(predicted.sum() / true.sum()), float(np.sqrt(np.mean(gap**2))))
