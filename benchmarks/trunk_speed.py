"""How fast a shared trunk trains and scores, and in how much memory: ``python -m benchmarks.trunk_speed``.

::

    examples a second    of an epoch, over a plain JAX loop of the same network on arrays in memory
    one request          200 candidates, six heads of a trunk, over six heads of trees of 100 leaves of 31
    memory               what the whole step grows to, from the label store to the registry, while the rows
                         grow tenfold
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lightgbm as lgb
import numpy as np
import optax
import pyarrow as pa
import pytest

from benchmarks.trunk_world import FEATURES, REGULARISED, TASKS, encode_features, simulate, trunk_of
from tasks.arrays import Floats
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.trunk import forward
from tasks.settings import REPOSITORY
from tasks.stores.workspace import Workspace
from tasks.training import trunk_step
from tasks.training.trunk_step import TrunkEvidence
from tasks.trunks import train as module
from tasks.trunks.rows import TrunkRows, TrunkTask
from tasks.trunks.train import TrainedTrunk, train_trunk

HEADS = 6
CANDIDATES = 200
SURFACE = "home_feed"
DAYS, TRAIN_DAYS, SHOWN = 60, 23, 12
AS_OF = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=DAYS)
TRUNK = {
    "tasks": ["click_30m", "dwell_60s_1d", "purchase_7d"],
    "ids": {"user_id": 16, "item_id": 16},
    "interactions": [["user_id", "item_id"]],
    "epochs": 1,
}


def train(table: pa.Table, tasks: tuple[str, ...], *, ids: bool, epochs: int) -> TrainedTrunk:
    """Train a mixture of experts of the default size on a table, none of it held out."""
    shown = table.append_column("held_out", pa.array(np.zeros(len(table), bool)))
    rows = TrunkRows(FEATURES, lambda: (shown[at : at + 50_000] for at in range(0, len(shown), 50_000)))
    trunk = trunk_of(ids=ids, tasks=tasks, layers=(128, 64), epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        return train_trunk(trunk, [TrunkTask(task) for task in tasks], rows, folder=Path(folder), threads=1)


def widen(table: pa.Table) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the table with six tasks, each outcome twice."""
    names = tuple(f"{task}_{copy}" for task in TASKS for copy in (1, 2))
    for name in names:
        table = table.append_column(name, table.column(name[:-2]))
    return table, names


def show_examples(rows: int) -> None:
    """Print the examples a second of an epoch over those of a plain loop."""
    epoch_of = module._Epochs._train_epoch  # noqa: SLF001 - an epoch alone, without what is compiled
    seconds: list[float] = []

    def timed(self: Any, state: dict[str, Any], epoch: int) -> tuple[dict[str, Any], Floats]:
        began = time.process_time()
        state, losses = epoch_of(self, state, epoch)
        jax.block_until_ready(state)
        seconds.append(time.process_time() - began)
        return state, losses

    table, tasks = widen(simulate(rows, seed=0, tastes=0.0).table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module._Epochs, "_train_epoch", timed)  # noqa: SLF001 - as above
        trained = train(table, tasks, ids=False, epochs=5)
    plain = time_plain_loop(trained, table, tasks)
    own_rate, plain_rate = rows / min(seconds[1:]), rows / plain
    print(
        f"examples a second of processor time: {own_rate:,.0f}, plain loop {plain_rate:,.0f}, "
        f"ratio {own_rate / plain_rate:.2f}"
    )


def time_plain_loop(trained: TrainedTrunk, table: pa.Table, tasks: tuple[str, ...]) -> float:
    """Return the seconds of an epoch of the same network by a loop over arrays in memory."""
    model, batch = trained.model, trunk_of(ids=False).batch
    matrix = encode_features(table).astype(np.float32)
    numbers = np.concatenate([matrix[:, :5], np.zeros_like(matrix[:, :5])], axis=1)
    codes = matrix[:, 5:].astype(np.int32) + 1
    labels = np.column_stack([table.column(task).to_numpy() for task in tasks]).astype(np.float32)
    arrays = {
        name: jnp.asarray(array) for name, array in model.weights.items() if name not in {"knots", "grid"}
    }
    adam = optax.adam(0.002)

    def lose(
        arrays: dict[str, jax.Array], numbers: jax.Array, codes: jax.Array, labels: jax.Array
    ) -> jax.Array:
        vectors = {n: arrays[f"table.{n}"][codes[:, k]] for k, n in enumerate(FEATURES.categorical)}
        out = forward(jnp, model.shape, arrays, numbers, vectors)
        return (jnp.logaddexp(0.0, out) - labels * out).mean(axis=0).sum()

    def update(
        arrays: dict[str, jax.Array], state: object, *rows: jax.Array
    ) -> tuple[dict[str, jax.Array], object]:
        updates, state = adam.update(jax.grad(lose)(arrays, *rows), state)
        return optax.apply_updates(arrays, updates), state

    step = jax.jit(update)
    state, best = adam.init(arrays), np.inf
    for epoch in range(4):
        began, order = time.process_time(), np.random.default_rng(epoch).permutation(len(labels))
        for first in range(0, len(order) - batch + 1, batch):
            at = order[first : first + batch]
            arrays, state = step(arrays, state, numbers[at], codes[at], labels[at])
        jax.block_until_ready(arrays)
        best = min(best, time.process_time() - began) if epoch else best
    return best * len(labels) / (len(labels) // batch * batch)


def show_request(rows: int) -> None:
    """Print the milliseconds of one request, by a trunk and by trees."""
    table, tasks = widen(simulate(rows, seed=0, tastes=0.0).table)
    model = train(table, tasks, ids=True, epochs=1).model
    frame = table.slice(0, CANDIDATES).to_pandas()
    matrix, labels = encode_features(table), table.column("click").to_numpy()
    settings = {**REGULARISED, "num_leaves": 31, "min_data_in_leaf": 20}
    trees = [lgb.train(dict(settings), lgb.Dataset(matrix, labels), 100) for _ in range(HEADS)]
    encoder = FeatureEncoder.fit(table.to_pandas(), FEATURES.numeric, FEATURES.categorical)

    def score_trees() -> None:
        own = encoder.matrix(frame)
        for booster in trees:
            booster.predict(own, num_threads=1)

    trunk, grown = (time_call(call) for call in (lambda: model.log_odds(frame), score_trees))
    print(
        f"one request of {CANDIDATES}: trunk {trunk * 1e3:.2f} ms, trees {grown * 1e3:.2f} ms, "
        f"ratio {trunk / grown:.2f}"
    )


def time_call(call: Callable[[], object]) -> float:
    """Return the median seconds of a call."""
    seconds = []
    for _ in range(50):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def show_memory(rows: int) -> None:
    """Print the memory of the step on about so many train rows and on ten times as many, in own processes."""
    peaks = []
    for count in (rows, 10 * rows):
        with tempfile.TemporaryDirectory() as folder:
            own = [sys.executable, "-m", "benchmarks.trunk_speed", "--home", folder, "--rows", str(count)]
            # a process starts with the peak of its parent's memory, so this one prepares nothing
            subprocess.run([*own, "prepare"], capture_output=True, check=True)
            done = subprocess.run([*own, "peak"], capture_output=True, text=True, check=True)
        peaks.append([float(figure) for figure in done.stdout.split()])
    (learned, low), (more, high) = peaks
    print(
        f"memory of the step: {low:.2f} GB on {learned:,.0f} rows, {high:.2f} GB on {more:,.0f}, "
        f"ratio {high / low:.2f}"
    )


def prepare_home(home: Path, *, requests_a_day: int) -> None:
    """Write the log, the labels and the contracts of home_feed, whose frequent tasks share a trunk."""
    out = str(home / "logs" / SURFACE)
    asked = ["--days", str(DAYS), "--requests-per-day", str(requests_a_day), "--seed", "0", "--out", out]
    shutil.copytree(REPOSITORY / "surfaces" / SURFACE, home / "surfaces" / SURFACE)
    with (home / "surfaces" / SURFACE / "surface.yaml").open("a", encoding="utf-8") as file:
        file.write(f"trunks: {{feed: {json.dumps(TRUNK)}}}\n")
    generate = [sys.executable, "-m", "tasks.cli", "world", "generate", *asked]
    subprocess.run(generate, check=True, capture_output=True)
    workspace = Workspace.open(SURFACE, surfaces=home / "surfaces", home=home)
    built = labels.run(workspace, as_of=AS_OF)
    LabelStore(workspace.store, SURFACE).publish(built.snapshot, report="none", severity="none")


def show_peak(home: Path) -> None:
    """Print the rows that a trunk learned from, and the peak memory of the step in GB."""
    workspace = Workspace.open(SURFACE, surfaces=home / "surfaces", home=home)
    published = LabelStore(workspace.store, SURFACE).last_published()
    if published is None:
        raise SystemExit(f"{home} has no published labels; `prepare` makes them")
    made = trunk_step.run(workspace, trunk="feed", as_of=AS_OF, snapshot=published.id)
    evidence = workspace.store.registry.runs.read_evidence(made.run_id, TrunkEvidence)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(evidence.rows + evidence.held_out, peak / (1e9 if sys.platform == "darwin" else 1e6))


def main() -> None:
    """Print the figures that are asked for."""
    shows: dict[str, Callable[[int], None]] = {
        "examples": show_examples,
        "request": show_request,
        "memory": show_memory,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("show", choices=["all", *shows, "prepare", "peak"], nargs="?", default="all")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--home", type=Path, help="of the process whose peak is measured")
    arguments = parser.parse_args()
    own: dict[str, Callable[[int], None]] = {
        "prepare": lambda rows: prepare_home(arguments.home, requests_a_day=rows // (SHOWN * TRAIN_DAYS)),
        "peak": lambda _: show_peak(arguments.home),
    }
    for name in shows if arguments.show == "all" else (arguments.show,):
        {**shows, **own}[name](arguments.rows)


if __name__ == "__main__":
    main()
