"""Trees of a Dask cluster beside those of one machine: ``python -m benchmarks.training_dask``, ten minutes.

Three surfaces are labelled, and a task of each is trained on its train days, in this process and by two
workers of a local cluster, each a process with one thread. A single model is a draw of chance: without a
hundredth of its rows it loses up to half a percent more or less on the test days. So each is trained on
several such draws, the same for both, and printed are means over the draws: normalized entropy of both, their
ratio with its standard error, which should lie within .001 of 1, and seconds.

KuaiRand-Pure is looked for as by ``benchmarks.calibration``, and left out where it is not there.
"""

import argparse
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from distributed import LocalCluster

from benchmarks.calibrating.logged import LOGGED, SHARED, label, shared_data
from tasks.evaluation.binary import row_losses
from tasks.labels.store import LabelStore
from tasks.training.draw_examples import draw_training_rows
from tasks.training.rows import TaskRows, read_labels
from tasks.training.trees import grow_trees, predict_rows

WORKERS: Final = 2
KEPT: Final = 0.99
"""Share of the rows in a draw."""


def main() -> None:
    """Print a line for each surface."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surfaces", nargs="+", default=list(LOGGED), choices=list(LOGGED))
    parser.add_argument("--draws", type=int, default=8)
    asked = parser.parse_args()
    logging.getLogger("equipoise").setLevel(logging.ERROR)
    print("| surface | task | rows | one machine | cluster | ratio | seconds | of the cluster |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster:
        for name in asked.surfaces:
            if name == "kuairand" and not (shared_data() / "KuaiRand-Pure").is_dir():
                print(f"kuairand is left out: not in {shared_data()}. Name its folder in {SHARED}")
                continue
            with tempfile.TemporaryDirectory() as folder:
                compare(name, Path(folder), cluster.scheduler_address, draws=asked.draws)


def compare(name: str, home: Path, scheduler: str, *, draws: int) -> None:
    """Train a surface's task by both engines and print what both lose on the test days."""
    logged = LOGGED[name]
    workspace, snapshot = label(logged, home)
    LabelStore(workspace.store, workspace.surface).publish(snapshot.id, report="", severity="info")
    rows = TaskRows.open(workspace, task=logged.task, as_of=snapshot.as_of, snapshot=snapshot.id)
    labels = read_labels(rows.test, rows.task)
    base = row_losses(labels, np.full(len(labels), labels.mean())).mean()
    entropies = np.empty((draws, 2))
    seconds, random = np.zeros(2), np.random.default_rng(0)
    engines = [asked_for(rows, engine, scheduler) for engine in ("local", "dask")]
    drawn = [draw_training_rows(there) for there in engines]
    for draw in range(draws):
        kept = random.random(len(drawn[0].examples)) < KEPT
        for place, (there, learned) in enumerate(zip(engines, drawn, strict=True)):
            began = time.perf_counter()
            booster = grow_trees(there, learned.examples.where(kept)).booster
            seconds[place] += time.perf_counter() - began
            predictions = predict_rows(rows, rows.slices.test, booster, learned.encoder)
            entropies[draw, place] = row_losses(labels, predictions).mean() / base
    ratios = entropies[:, 1] / entropies[:, 0]
    error, (local, dask) = ratios.std(ddof=1) / draws**0.5, entropies.mean(axis=0)
    print(
        f"| {workspace.surface} | {rows.task} | {len(drawn[0].examples):,} | {local:.4f} | {dask:.4f} "
        f"| {ratios.mean():.4f} +- {error:.4f} | {seconds[0] / draws:.1f} | {seconds[1] / draws:.1f} |",
        flush=True,
    )


def asked_for(rows: TaskRows, engine: str, scheduler: str) -> TaskRows:
    """Return a task's rows under contracts that ask for an engine."""
    contracts = rows.workspace.contracts
    own = contracts.surface.training_for(rows.task).model_copy(
        update={"engine": engine, "scheduler": scheduler}
    )
    surface = contracts.surface.model_copy(update={"training": {rows.task: own}})
    return replace(rows, workspace=rows.workspace.under(replace(contracts, surface=surface)))


if __name__ == "__main__":
    main()
