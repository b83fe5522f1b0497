"""How near weights learned from experiments come to the truth: ``python -m benchmarks.experiment_weights``.

Settings have 8, 15, 30 or 60 arms, two, four or six short outcomes and true changes of .5 to 4 times their
standard error. The long outcome follows the short ones by true weights, one of them a cost, and has effects
and errors of its own.
A weight vector's distance from the truth is 1 - cosine in the covariance of the true changes, since the scale
of weights changes no order. Printed by F_min is how often the learned weights are nearer than a start at a
distance of .1, .2 or .3, how often a regression of users whose activity varies is nearer than .2, and how
often intervals hold the true weights at the scale of the learned ones.
"""

import argparse
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from tasks.experiments import learn
from tasks.experiments.learn import LEAST_SIGNAL, learn_weights

Floats = npt.NDArray[np.float64]

ARMS: Final = (8, 15, 30, 60)
OUTCOMES: Final = (2, 4, 6)
SIGNALS: Final = (0.5, 1.0, 2.0, 4.0)
STARTS: Final = (0.1, 0.2, 0.3)
USERS: Final = 2000
CORRELATION: Final = 0.3
OWN: Final = 0.3
"""Effects of an arm on the long outcome that short outcomes do not carry, per effect that they do."""
ERROR: Final = 0.5


@dataclass(frozen=True)
class Trial:
    """Experiments: F_min, the weights' distance, that of a regression of users, and intervals that held."""

    signal: float
    distance: float
    by_users: float
    held: float


def shared(outcomes: int) -> Floats:
    """Return a covariance with ones and one correlation."""
    return np.asarray((1 - CORRELATION) * np.eye(outcomes) + CORRELATION)


def distance(one: Floats, other: Floats, covariance: Floats) -> float:
    """Return 1 - cosine of two weight vectors."""
    a, b, both = (left @ covariance @ right for left, right in ((one, one), (other, other), (one, other)))
    return float(1 - both / np.sqrt(a * b))


def user_weights(truth: Floats, rng: np.random.Generator) -> Floats:
    """Regress users' long outcome on their short ones, all of which rise with activity."""
    activity = rng.gamma(1.0, 1.0, USERS)
    short = activity[:, None] * rng.uniform(0.5, 2.0, truth.size) + rng.standard_normal((USERS, truth.size))
    long = short @ truth + 20 * activity + rng.standard_normal(USERS)
    return np.asarray(np.linalg.lstsq(short, long)[0])


def run(arms: int, outcomes: int, signal: float, rng: np.random.Generator) -> Trial:
    """Draw experiments and learn from them, refused or not."""
    covariance = shared(outcomes)
    root = np.linalg.cholesky(covariance)
    signs = np.array([1, -1, *rng.choice([-1, 1], outcomes - 2)])
    truth = signs * rng.exponential(1.0, outcomes)
    changes = signal * rng.standard_normal((arms, outcomes)) @ root.T
    size = np.sqrt(truth @ covariance @ truth)
    long = changes @ truth + size * np.hypot(OWN * signal, ERROR) * rng.standard_normal(arms)
    short = changes + rng.standard_normal((arms, outcomes)) @ root.T
    with patch.object(learn, "LEAST_SIGNAL", 0.0):
        learned = learn_weights(short, long, covariance)
    weights = learned.weights
    scaled = truth * (weights @ covariance @ truth) / (truth @ covariance @ truth)
    held = float(((learned.low <= scaled) & (scaled <= learned.high)).mean())
    by_users = distance(user_weights(truth, rng), truth, covariance)
    return Trial(learned.signal, distance(weights, truth, covariance), by_users, held)


def print_row(name: str, trials: Iterable[Trial], of: int) -> None:
    """Print how the trials of a row did."""
    rows = list(trials)
    away = np.array([each.distance for each in rows])
    nearer = ", ".join(f"{(away < start).mean():.3f}" for start in STARTS)
    users = np.mean([each.by_users < STARTS[1] for each in rows])
    held = np.mean([each.held for each in rows])
    print(f"| {name} | {len(rows) / of:.2f} | {nearer} | {users:.2f} | {held:.2f} |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    runs, rng = parser.parse_args().runs, np.random.default_rng(0)
    trials = {
        each: [run(*each, rng) for _ in range(runs)] for each in itertools.product(ARMS, OUTCOMES, SIGNALS)
    }
    every = list(itertools.chain.from_iterable(trials.values()))
    print(f"| F_min | trials | nearer than {', '.join(map(str, STARTS))} | by users, .2 | intervals |")
    print("| --- | --- | --- | --- | --- |")
    for least, most in ((LEAST_SIGNAL, np.inf), (5.0, np.inf), (0.0, LEAST_SIGNAL)):
        name = f"{least:.0f} and above" if np.isinf(most) else f"below {most:.0f}, unrefused"
        print_row(name, [each for each in every if least <= each.signal < most], len(every))
    for arms in ARMS:
        weak = itertools.chain.from_iterable(trials[arms, n, SIGNALS[0]] for n in OUTCOMES)
        print_row(f"signal / noise {SIGNALS[0]}, {arms} arms, unrefused", weak, len(every))


if __name__ == "__main__":
    main()
