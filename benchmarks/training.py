"""Training a head against ``lightgbm.train``: ``python -m benchmarks.training``.

Both learn from the same rows with the same parameters, stopped by the same tenth of them. Bare is handed a
matrix, bins it once and takes both subsets of the bins; ours is handed the Arrow table that the training step
makes. They are timed in turn, the least of the runs counts. That the models are the same byte by byte, but
for the line that says how many threads there were, is checked.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from benchmarks.retrained.repeats import watched
from benchmarks.retrained.trees import HERE, RECIPES
from tasks.pipeline import retrain
from tasks.stores.workspace import Workspace
from tasks.training.examples import Examples
from tasks.training.fit import Fitted, Learning, fit_head

MOST = 1.10
FEATURES = 40
PARAMETERS: dict[str, float | int] = {"num_leaves": 63, "learning_rate": 0.05, "rounds": 100}


def main() -> None:
    """Print seconds and ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--retrain", metavar="SURFACE", choices=sorted(RECIPES))
    asked = parser.parse_args()
    if asked.retrain:
        with tempfile.TemporaryDirectory() as folder:
            retrain_by_step(asked.retrain, Path(folder))
    else:
        compare_with_lightgbm(asked.rows, runs=asked.runs, threads=asked.threads)


def compare_with_lightgbm(rows: int, *, runs: int, threads: int) -> None:
    """Train the same trees with LightGBM alone and with `fit_head`; print seconds and ratios.

    Raises
    ------
    SystemExit
        The models differ.
    """
    examples, matrix = made(rows)

    def bare() -> str:
        return train_alone(examples, matrix, threads=threads)

    def ours() -> Fitted:
        return fit_head(examples, Learning(parameters=PARAMETERS), threads=threads)

    text = bare().replace(f"[num_threads: {threads}]", "[num_threads: 0]")
    if lgb.Booster(model_str=text).model_to_string() != ours().text:
        raise SystemExit("the models differ")
    pairs = [(timed(bare), timed(ours)) for _ in range(runs)]
    print(f"training: {rows:,} rows, {FEATURES} features, 100 trees, the same bytes from both")
    for name, place in (("lightgbm.train", 0), ("tasks.training.fit", 1)):
        clock, processors = (min(pair[place][of] for pair in pairs) for of in (0, 1))
        print(f"  {name:20} {clock:6.2f} s, of processors {processors:6.2f} s")
    ratios = [min(pair[1][of] for pair in pairs) / min(pair[0][of] for pair in pairs) for of in (0, 1)]
    print(f"  ratio {ratios[0]:.3f} by the clock, {ratios[1]:.3f} by processors (at most {MOST})")


def train_alone(examples: Examples, matrix: np.ndarray, *, threads: int) -> str:
    """Return the text of a model that LightGBM alone trains, with early stopping on the fold."""
    settings = {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": 63,
        "learning_rate": 0.05,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "seed": 0,
        "num_threads": threads,
    }
    data = lgb.Dataset(
        matrix,
        examples.labels,
        feature_name=list(examples.names),
        categorical_feature=[FEATURES - 1],
        params=settings,
    ).construct()
    train, fold = (data.subset(np.flatnonzero(rows)) for rows in (~examples.fold, examples.fold))
    stop = [lgb.early_stopping(50, verbose=False)]
    booster = lgb.train(settings, train, 100, valid_sets=[fold], valid_names=["fold"], callbacks=stop)
    return str(booster.model_to_string(num_iteration=booster.best_iteration))


def retrain_by_step(surface: str, home: Path) -> None:
    """Retrain a surface in this process; print what each step cost."""
    recipe = RECIPES[surface]
    logs = [*recipe.logs, "--out", str(home / "logs" / surface)]
    subprocess.run(
        [sys.executable, "-m", "tasks.cli", *logs, "--json"], check=True, stdout=subprocess.DEVNULL
    )
    workspace = Workspace.open(surface, surfaces=HERE / "surfaces", home=home)
    with watched() as watch:
        retrain(workspace, as_of=datetime.fromisoformat(recipe.as_of))
    print(f"retrain of {surface} in one process: seconds of processors, rows scored / rows that had to be")
    for step, cost in watch.costs.items():
        ratio = f"  {cost.scored:12,} rows  {cost.ratio:.2f}" if cost.scored else ""
        print(f"  {step:10} {cost.seconds:6.1f} s{ratio}")
    print(f"  all        {sum(cost.seconds for cost in watch.costs.values()):6.1f} s")


def made(rows: int) -> tuple[Examples, np.ndarray]:
    """Return examples whose features are an Arrow table, and the same features as a matrix."""
    random = np.random.default_rng(0)
    matrix = random.normal(size=(rows, FEATURES))
    matrix[:, -1] = random.integers(0, 50, rows)
    matrix[::7, 3] = np.nan
    log_odds = -3 + matrix[:, 0] + matrix[:, 1] * matrix[:, 2] + (matrix[:, -1] % 5 == 0)
    labels = (random.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)
    names = tuple(f"f{i}" for i in range(FEATURES))
    table = pa.table([pa.array(column, from_pandas=True) for column in matrix.T], names=list(names))
    return Examples(table, labels, random.random(rows) < 0.1, names, names[-1:]), matrix


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Return seconds on the clock and of the processors."""
    began, busy = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - busy


if __name__ == "__main__":
    main()
