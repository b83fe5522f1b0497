"""Trees, a shared trunk, their blend and the choice among them, on worlds whose truth is known.

::

    log odds of a task = level + effects of what is logged + [tastes: u_user . v_item, weighed by the task]

    click (1 in 8)      purchase (1 in 300)      report (1 in 3,000)

``python -m benchmarks.trunk_world`` prints, for worlds with and without tastes, the normalized entropy of
each task on new days and the regret of ``best``: how much it loses against the best of the three. The scored
rows of a world are kept in ``--folder``: a run that was ended goes on, and a rule can be tried on them.
``balance`` compares the balance methods where clicks dominate (a tight shared bottom, where a click weighs 1
and a purchase, 1 in 60, .003); ``masked`` hides 30 % of the labels at random, as unknown and as negatives.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.arrays import Flags, Floats
from tasks.calibration.head_models import MODELS, ModelScores, choose, fit_line
from tasks.contracts.surface import Features
from tasks.contracts.training import BalanceMethod, Trunk
from tasks.stores.files import replaced
from tasks.trunks.rows import TrunkRows, TrunkTask
from tasks.trunks.train import TrainedTrunk, train_trunk

TASKS = ("click", "purchase", "report")
RATES = {"click": 1 / 8, "purchase": 1 / 300, "report": 1 / 3000}
USERS, ITEMS = 500, 250
FEATURES = Features(
    numeric=("price", "age", "quality", "affinity", "hour"), categorical=("source", "category")
)
TRAIN, FOLD, CALIBRATE = 0.6, 0.1, 0.15
"""Shares of the rows, in the order of time; the rest is tested on."""
REGULARISED = {
    "objective": "binary", "num_leaves": 8, "learning_rate": 0.05, "min_data_in_leaf": 500, "lambda_l2": 20.0,
    "verbosity": -1, "num_threads": 1, "seed": 0, "deterministic": True,
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Rows in the order of time, with what is true of them.

    Attributes
    ----------
    table : features, ids and the outcome of each task.
    truth : task -> true log odds, shape [rows].
    """

    table: pa.Table
    truth: Mapping[str, Floats]

    @property
    def ends(self) -> tuple[int, int, int]:
        """The rows at which the fold, the calibrate rows and the test rows begin."""
        rows = len(self.table)
        return int(TRAIN * rows), int((TRAIN + FOLD) * rows), int((TRAIN + FOLD + CALIBRATE) * rows)


def simulate(
    rows: int, *, seed: int, tastes: float, common: float = 0.9, rates: Mapping[str, float] = RATES
) -> World:
    """Draw a world.

    Parameters
    ----------
    tastes : standard deviation of their part of the log odds.
    common : how much of what moves clicks moves purchases; what is theirs alone shrinks as it grows.
    rates : task -> share of positive rows.
    """
    draw = np.random.default_rng([seed, 31])
    user, item = draw.integers(0, USERS, rows), draw.integers(0, ITEMS, rows)
    price, quality = draw.normal(size=(2, ITEMS))[:, item]
    age = draw.normal(size=USERS)[user]
    category, source = draw.integers(0, 8, ITEMS)[item], draw.integers(0, 4, rows)
    hour, affinity = draw.normal(size=(2, rows))
    liked = (draw.normal(size=(USERS, 6))[user] * draw.normal(size=(ITEMS, 6))[item]).sum(axis=1) / np.sqrt(6)
    clicked = 0.5 * affinity + 0.4 * quality - 0.3 * price * age + 0.3 * draw.normal(size=8)[category]
    clicked = clicked + 0.3 * (source == 2) + 0.3 * np.abs(hour)
    own = 0.6 * np.abs(age) - 0.5 * price - 0.5 * quality * hour + 0.5 * (category == 3)
    parts = {
        "click": clicked + tastes * liked,
        "purchase": common * clicked + (1.2 - common) * own + 0.8 * tastes * liked,
        "report": -0.7 * common * clicked - 0.5 * quality + 0.4 * (source == 3) - 0.6 * tastes * liked,
    }
    truth = {task: part + _level(part, rates[task]) for task, part in parts.items()}
    outcomes = {task: (draw.random(rows) < _chance(odds)).astype(np.float64) for task, odds in truth.items()}
    shown = {"price": price, "age": age, "quality": quality, "affinity": affinity, "hour": hour}
    words = {"source": np.array([*"abcd"])[source], "category": np.array([*"ijklmnop"])[category]}
    return World(pa.table({**shown, **words, "user": user, "item": item, **outcomes}), truth)


def _level(part: Floats, rate: float) -> float:
    low, high = -20.0, 5.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if _chance(part + middle).mean() > rate else (middle, high)
    return low


def _chance(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-log_odds))


def normalized_entropy(log_odds: Floats, labels: Floats) -> float:
    """Return the log loss over that of the mean outcome."""
    rate = labels.mean()
    base = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return float((np.logaddexp(0, log_odds) - labels * log_odds).mean() / base)


def fit_trunk(
    world: World, trunk: Trunk, *, weights: Mapping[str, float] | None = None, table: pa.Table | None = None
) -> TrainedTrunk:
    """Train a trunk on the train rows of a world, stopped by its fold."""
    first, last, _ = world.ends
    shown = (world.table if table is None else table)[:last]
    shown = shown.append_column("held_out", pa.array(np.arange(last) >= first))
    tasks = [TrunkTask(name, loss_weight=(weights or {}).get(name, 1.0)) for name in trunk.tasks]
    rows = TrunkRows(FEATURES, lambda: (shown[at : at + 50_000] for at in range(0, len(shown), 50_000)))
    with tempfile.TemporaryDirectory() as folder:
        return train_trunk(trunk, tasks, rows, folder=Path(folder), threads=1)


def trunk_of(*, ids: bool, **changes: object) -> Trunk:
    """Return the trunk that is compared: a mixture of experts, with a product of user and item."""
    own = {"ids": {"user": 16, "item": 16}, "interactions": (("user", "item"),)} if ids else {}
    return Trunk.model_validate({"tasks": TASKS, "layers": (64, 32), "epochs": 12, **own, **changes})


def score_trees(world: World, task: str) -> Floats:
    """Return the log odds of regularised trees, grown on the train rows and stopped by the fold, [rows]."""
    first, last, _ = world.ends
    matrix, labels = encode_features(world.table), world.table.column(task).to_numpy()
    train = lgb.Dataset(matrix[:first], labels[:first], categorical_feature=[5, 6])
    fold = lgb.Dataset(matrix[first:last], labels[first:last], reference=train)
    stop = lgb.early_stopping(30, verbose=False)
    trees = lgb.train(dict(REGULARISED), train, 300, [fold], callbacks=[stop])
    return np.asarray(trees.predict(matrix, raw_score=True, num_threads=1), np.float64)


def encode_features(table: pa.Table) -> Floats:
    """Return the features with categories as codes, shape [rows, features]."""
    frame = table.select([*FEATURES.names]).to_pandas()
    for name in FEATURES.categorical:
        frame[name] = frame[name].astype("category").cat.codes
    return np.asarray(frame.to_numpy(np.float64))


def score_rows(world: World, trunk: Trunk) -> pa.Table:
    """Return the calibrate and test rows: user, and outcome, truth, trees' and trunk's log odds by task."""
    last = world.ends[1]
    new = world.table.slice(last)
    outputs = fit_trunk(world, trunk).model.log_odds(new.to_pandas())
    columns = {"user": new.column("user").to_numpy()}
    for task in trunk.tasks:
        columns[task] = new.column(task).to_numpy()
        columns[f"{task}_truth"] = world.truth[task][last:]
        columns[f"{task}_trees"], columns[f"{task}_trunk"] = score_trees(world, task)[last:], outputs[task]
    return pa.table(columns)


def compare(scored: pa.Table, tasks: Iterable[str]) -> Iterator[tuple[str, dict[str, float], str, int]]:
    """Give each task's normalized entropies on the test rows, the choice, and the calibrate positives."""
    tested = round(len(scored) * CALIBRATE / (1 - TRAIN - FOLD))
    for task in tasks:
        names = (f"{task}_trees", f"{task}_trunk", task, "user")
        fit, test = (
            ModelScores(*(part.column(name).to_numpy() for name in names))
            for part in (scored[:tested], scored[tested:])
        )
        every: Flags = np.ones(len(fit.outcomes), dtype=np.bool_)
        truth = scored.column(f"{task}_truth").to_numpy()[tested:]
        lost = {"oracle": normalized_entropy(truth, test.outcomes)}
        for name in MODELS:
            chances = np.clip(fit_line(fit, name, every)(test.raw(name)), 1e-9, 1 - 1e-9)
            lost[name] = normalized_entropy(np.log(chances / (1 - chances)), test.outcomes)
        chosen = choose(fit).model
        yield task, {**lost, "best": lost[chosen]}, chosen, int(fit.outcomes.sum())


def read_or_make(file: Path, make: Callable[[], pa.Table]) -> pa.Table:
    """Read a table of an earlier run, or make and keep it."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced(file) as place:
            pq.write_table(make(), place)
    return pq.read_table(file)


def show_worlds(asked: argparse.Namespace) -> None:
    """Print normalized entropies, their means and the regret of the choice."""
    regrets, tables = list[tuple[float, float]](), defaultdict[str, list[dict[str, float]]](list)
    for seed, tastes in product(asked.of_seeds, (0.0, 1.0)):
        for task, lost, chosen, positives in compare(_score_seed(asked, seed, tastes), TASKS):
            allowed = max(0.005, 0.25 / np.sqrt(positives))
            regrets.append((lost["best"] / min(lost[name] for name in MODELS) - 1, allowed))
            world = f"tastes {tastes:g}"
            tables[f"{world}  mean    {task:<9}"].append(lost)
            print(
                f"{world}  seed {seed:<3}{task:<9}{_spell(lost)}  -> {chosen:<6} "
                f"regret {regrets[-1][0]:.2%} (half-width {allowed:.2%})", flush=True,
            )  # fmt: skip
    for name, rows in sorted(tables.items()):
        means = {str(model): float(mean) for model, mean in pd.DataFrame(rows).mean().items()}
        print(f"{name}{_spell(means)}")
    values = np.array([regret for regret, _ in regrets])
    beyond = sum(regret > allowed for regret, allowed in regrets)
    print(
        f"regret of best: mean {values.mean():.2%}, largest {values.max():.2%}; "
        f"beyond its half-width {beyond} of {len(values)}"
    )


def _score_seed(asked: argparse.Namespace, seed: int, tastes: float) -> pa.Table:
    def make() -> pa.Table:
        return score_rows(simulate(asked.rows, seed=seed, tastes=tastes), trunk_of(ids=tastes > 0))

    return read_or_make(asked.folder / f"world-{asked.rows}-{tastes:g}-{seed}.parquet", make)


def _spell(lost: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in lost.items())


PAIR = TASKS[:2]


def show_balance(asked: argparse.Namespace) -> None:
    """Print what each balance method leaves of the purchases where clicks dominate."""
    tables = []
    for seed in asked.of_seeds:
        file = asked.folder / f"balance-{asked.rows}-{seed}.parquet"
        tables.append(read_or_make(file, lambda: measure_balance(asked.rows, seed)).to_pandas())  # noqa: B023 - called at once
        print(f"seed {seed}", tables[-1].round(4).to_string(index=False), sep="\n", flush=True)
    print("mean", pd.concat(tables).groupby("method", sort=False).mean().round(4), sep="\n")


def measure_balance(rows: int, seed: int) -> pa.Table:
    """Return normalized entropies of clicks and purchases by method; NaN where a network has not the task."""
    methods: tuple[BalanceMethod, ...] = get_args(BalanceMethod)
    tight: dict[str, object] = {"architecture": "shared_bottom", "layers": (16, 3), "seed": seed}
    trunks: dict[str, Trunk] = {
        **{f"{task} alone": trunk_of(ids=False, tasks=(task,), **tight) for task in PAIR},
        **{name: trunk_of(ids=False, tasks=PAIR, balance={"method": name}, **tight) for name in methods},
        "manual, mmoe": trunk_of(ids=False, tasks=PAIR, layers=(16, 3), seed=seed),
    }
    world = simulate(rows, seed=seed, tastes=0.0, common=0.2, rates={**RATES, "purchase": 1 / 60})
    new = world.table.slice(world.ends[2])
    outputs: dict[str, Mapping[str, Floats]] = {
        "oracle": {task: world.truth[task][world.ends[2] :] for task in PAIR},
        "trees": {task: score_trees(world, task)[world.ends[2] :] for task in PAIR},
    }
    for name, trunk in trunks.items():
        outputs[name] = fit_trunk(world, trunk, weights={"purchase": 0.003}).model.log_odds(new.to_pandas())
    lost = {
        task: [
            normalized_entropy(out[task], new.column(task).to_numpy()) if task in out else np.nan
            for out in outputs.values()
        ]
        for task in PAIR
    }
    return pa.table({"method": [*outputs], **lost})


def show_masked(asked: argparse.Namespace) -> None:
    """Print normalized entropy and calibration ratio with 30 % of each task's labels masked."""
    for seed in asked.of_seeds:
        world = simulate(asked.rows, seed=seed, tastes=0.0)
        draw, new = np.random.default_rng(seed), world.table.slice(world.ends[2])
        hidden = {task: draw.random(asked.rows) < 0.3 for task in TASKS}
        unknown, negative = world.table, world.table
        for task in TASKS:
            place, labels = unknown.column_names.index(task), world.table.column(task).to_numpy()
            unknown = unknown.set_column(place, task, pa.array(np.where(hidden[task], np.nan, labels)))
            negative = negative.set_column(place, task, pa.array(np.where(hidden[task], 0.0, labels)))
        for name, table in (("all known", None), ("30 % unknown", unknown), ("30 % as negatives", negative)):
            outputs = fit_trunk(world, trunk_of(ids=False, seed=seed), table=table).model.log_odds(
                new.to_pandas()
            )
            for task in TASKS:
                outcomes = new.column(task).to_numpy()
                ratio = (1 / (1 + np.exp(-outputs[task]))).sum() / outcomes.sum()
                entropy, width = normalized_entropy(outputs[task], outcomes), 0.25 / np.sqrt(outcomes.sum())
                print(
                    f"seed {seed}  {name:<18}{task:<9}{entropy:.4f} (half-width {width:.4f})  "
                    f"predicted / happened {ratio:.3f}",
                    flush=True,
                )


def main() -> None:
    """Print the figures that are asked for."""
    shows = {"world": show_worlds, "balance": show_balance, "masked": show_masked}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("show", choices=list(shows), nargs="?", default="world")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--folder", type=Path, default=Path(".equipoise/trunk_world"))
    asked = parser.parse_args()
    asked.of_seeds = range(asked.first, asked.first + asked.seeds)
    shows[asked.show](asked)


if __name__ == "__main__":
    main()
