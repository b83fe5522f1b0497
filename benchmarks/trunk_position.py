"""Position bias in a shared trunk, against the truth: ``python -m benchmarks.trunk_position``.

::

    feature    an effect of each position is added to the log odds in training and left out at serving
    weight     positives weigh 1 / examination, by the curve of randomised positions (training/examination.py)

The simulated feed of ``benchmarks.learning_truth``, of which a network and trees learn each task with either
correction or none. Printed are the examination curve of each correction beside the true one, then how far
predictions are from the true probabilities at the reference position, as ``benchmarks.learning_truth`` says.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.learning.days import Days
from benchmarks.learning.feed import FEATURES, Distance, Feed, feed
from benchmarks.learning.position import distances, harvested, heads
from tasks.arrays import Floats
from tasks.calibration.fit import fit_logistic
from tasks.columns import POSITION, USER_ID
from tasks.contracts.training import Trunk
from tasks.datasets.world.entities import EXAMINATION
from tasks.ranking.examination import Examination
from tasks.ranking.maps import expit
from tasks.ranking.trunk import TrunkModel
from tasks.training.debiasing import position_weights
from tasks.trunks.rows import HELD_OUT, TrunkRows, TrunkTask, weight_column
from tasks.trunks.train import train_trunk

TASKS: Final = {"click": "click_30m", "hide": "hide_7d"}
"""Events that are learned, and the task whose true probabilities they have."""
CORRECTIONS: Final = ("none", "feature", "weight")
_CHUNK: Final = 1 << 16


def learn(made: Feed, correction: str, curve: Examination, seed: int) -> TrunkModel:
    """Train a trunk of the tasks on the train days, a tenth of the users held out."""
    days = made.train
    frame = days.frame[[*FEATURES.names, POSITION]].copy()
    frame[HELD_OUT] = pd.factorize(days.frame[USER_ID])[0] % 10 == 0
    for task in TASKS:
        frame[task] = np.where(days.visible, days.happened[task], np.nan)
        if correction == "weight":
            weights = position_weights(days.happened[task], curve.relative(days.positions))
            frame[weight_column(task)] = weights / weights.mean()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    rows = TrunkRows(FEATURES, lambda: (table[at : at + _CHUNK] for at in range(0, len(table), _CHUNK)))
    tasks = [TrunkTask(task, positioned=correction == "feature") for task in TASKS]
    trunk = Trunk.model_validate({"tasks": tuple(TASKS), "layers": (64, 32), "seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        return train_trunk(trunk, tasks, rows, folder=Path(folder), threads=1).model


def predict(made: Feed, model: TrunkModel, task: str, correction: str, curve: Examination) -> Floats:
    """Return calibrated predictions of the test days at the reference; the line is fitted as in a release."""
    days = made.calibrate
    shown = model.log_odds(days.frame, positions=days.positions if correction == "feature" else None)[task]
    labels = days.happened[task]
    weights = np.ones(len(labels))
    if correction == "weight":
        weights = position_weights(labels, curve.relative(days.positions), expit(shown))
    known = days.visible
    line = fit_logistic(shown[known], labels[known], weights[known])
    return np.asarray(line.of_logits(model.log_odds(made.test.frame)[task]), dtype=np.float64)


def examined(days: Days, model: TrunkModel, task: str) -> Iterator[float]:
    """Give how often each position is examined by the position head: predictions there over those at 1."""
    at_reference = expit(model.log_odds(days.frame)[task]).sum()
    for place in range(1, len(EXAMINATION) + 1):
        there = model.log_odds(days.frame, positions=np.full(len(days.frame), float(place)))[task]
        yield float(expit(there).sum() / at_reference)


def main() -> None:
    """Print the curves and the distances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="a day, of 12 impressions each")
    parser.add_argument("--days", type=int, default=8, help="to train on")
    parser.add_argument("--seeds", type=int, default=3, help="worlds")
    asked = parser.parse_args()
    curves, distances_of = defaultdict[str, list[Floats]](list), defaultdict[str, list[Distance]](list)
    for seed in range(asked.seeds):
        made = feed(requests=asked.requests, train=asked.days, seed=seed)
        for name, values in measure(made, seed):
            if isinstance(values, Distance):
                distances_of[name].append(values)
                print(f"seed {seed}  {name:<24}ratio {values.ratio:.3f} error {values.error:.3f}", flush=True)
            else:
                curves[name].append(values - EXAMINATION[: len(values)])
                print(f"seed {seed}  {name:<24}{' '.join(f'{value:.2f}' for value in values)}", flush=True)
    for name, errors in curves.items():
        figures = np.mean([np.sqrt(np.mean(error[1:] ** 2)) for error in errors])
        print(f"mean    {name:<24}root mean square error from position 2 on {figures:.3f}")
    for name, found in distances_of.items():
        ratio, error = (float(np.mean([getattr(one, of) for one in found])) for of in ("ratio", "error"))
        print(f"mean    {name:<24}ratio {ratio:.3f} error {error:.3f}")


def measure(made: Feed, seed: int) -> Iterator[tuple[str, Distance | Floats]]:
    """Give the curve, or the distance at the reference, of each correction by name."""
    found = harvested(made.train).by_position
    curve = Examination(found)
    models = {name: learn(made, name, curve, seed) for name in CORRECTIONS}
    yield "curve, true", np.array(EXAMINATION)
    yield "curve, randomised", np.array(found)
    for task in TASKS:
        yield f"curve, feature, {task}", np.array([*examined(made.test, models["feature"], task)])
    for (task, truth), (name, model) in product(TASKS.items(), models.items()):
        predicted = predict(made, model, task, name, curve)
        yield f"{task}, trunk, {name}", Distance.of(predicted, made.test.at_reference[truth])
    for name, (reference, _) in distances(made, heads(made, curve)).items():
        if name in CORRECTIONS:
            yield f"click, trees, {name}", reference


if __name__ == "__main__":
    main()
