"""Memory of training and calibrating four tasks on five million rows: ``python -m benchmarks.memory``.

Rows with 36 numbers, 4 categories and four labels lie in Parquet. A process of its own does for each task
what the steps do with what the label store hands them: an Arrow table is read, encoded without a copy of its
numbers, handed to LightGBM as it is and binned once; the model scores a fifth as many calibrate rows and a
map is fitted. Printed is the process's greatest resident memory, beside the size of one task's features.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.calibration.fit import fit_binary
from tasks.contracts.surface import Features
from tasks.ranking.heads import Head
from tasks.training.encoding import encode, encode_dictionaries, fit_encoder
from tasks.training.examples import Examples
from tasks.training.fit import Learning, fit_head

MOST = 8.0
TASKS = ("click", "buy", "back", "hide")
NUMBERS, CATEGORIES, BATCH = 36, 4, 500_000
FEATURES = Features(
    numeric=tuple(f"n{i}" for i in range(NUMBERS)), categorical=tuple(f"c{i}" for i in range(CATEGORIES))
)


def main() -> None:
    """Write the rows, learn in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--trees", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--from", dest="source", type=Path, help="learn from this folder and report as JSON")
    asked = parser.parse_args()
    if asked.source is not None:
        print(json.dumps(learned(asked.source, trees=asked.trees, threads=asked.threads)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "train.parquet", asked.rows, seed=0)
        write(Path(folder) / "calibrate.parquet", asked.rows // 5, seed=1)
        command = [sys.executable, "-m", "benchmarks.memory", "--from", folder]
        command += ["--trees", str(asked.trees), "--threads", str(asked.threads)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    size = f"{asked.rows:,} rows, {NUMBERS + CATEGORIES} features, {len(TASKS)} tasks of {asked.trees} trees"
    print(f"memory: {size}")
    print(f"  features of one task in Arrow {found['features']:6.2f} GB")
    print(f"  greatest resident memory      {found['peak']:6.2f} GB (under {MOST:g})")
    print(f"  of that above the features    {found['peak'] - found['features']:6.2f} GB")
    print(f"  {found['seconds']:.0f} s, of processors {found['busy']:.0f} s")


def learned(folder: Path, *, trees: int, threads: int) -> dict[str, float]:
    """Train and calibrate every task; return gigabytes and seconds."""
    began, size = time.perf_counter(), 0
    for task in TASKS:
        table = read(folder / "train.parquet", task)
        encoder = fit_encoder(table, FEATURES)
        features = encode(encoder, table)
        size = max(size, features.nbytes)
        labels = table.column(task).to_numpy().astype(np.float64)
        del table
        fold = np.random.default_rng(0).random(len(labels)) < 0.1
        examples = Examples(features, labels, fold, encoder.names, encoder.categorical)
        booster = fit_head(
            examples, Learning(parameters={"num_leaves": 63, "rounds": trees}), threads=threads
        ).booster
        del features, examples
        later = read(folder / "calibrate.parquet", task)
        scores = Head(task, "binary", booster, encoder, None).scores(encode(encoder, later), threads=threads)
        fit_binary(scores, later.column(task).to_numpy().astype(np.float64))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "features": size / 1e9,
        "peak": used.ru_maxrss / 1e6,
        "seconds": time.perf_counter() - began,
        "busy": used.ru_utime + used.ru_stime,
    }


def read(file: Path, task: str) -> pa.Table:
    """Read the features and one label."""
    return encode_dictionaries(pq.read_table(file, columns=[*FEATURES.names, task]), FEATURES.categorical)


def write(file: Path, rows: int, *, seed: int) -> None:
    """Write rows in batches; each task's odds follow three features of its own."""
    random, values, writer = np.random.default_rng(seed), pa.array([f"v{i}" for i in range(200)]), None
    for start in range(0, rows, BATCH):
        n = min(BATCH, rows - start)
        numbers = random.normal(size=(NUMBERS, n))
        columns = {f"n{i}": pa.array(column) for i, column in enumerate(numbers)}
        columns |= {f"c{i}": values.take(pa.array(random.integers(0, 200, n))) for i in range(CATEGORIES)}
        for place, task in enumerate(TASKS):
            log_odds = -2 - place + numbers[place] + numbers[place + 4] * numbers[place + 8]
            columns[task] = pa.array((random.random(n) < 1 / (1 + np.exp(-log_odds))).astype(np.int8))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main()
