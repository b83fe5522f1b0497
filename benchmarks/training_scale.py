"""Training past memory: ``python -m benchmarks.training_scale``, some minutes; 50 million rows take an hour.

A label store holds rows with 36 numbers, 4 categories and one task: twenty train days and a calibrate and a
test day of as many rows as a train day. A process of its own trains from the store as the step does, and
scores the calibrate and the test day. Another, where that fits in memory, reads the same train days as a
matrix and calls ``lightgbm.train`` on them, with the same parameters and the same held-out users. That the
models are the same byte by byte is checked. Printed are seconds, their ratio and the peak of resident memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from tasks import columns as c
from tasks.labels.build_record import STAMPS, Build, Day, sum_days
from tasks.labels.store import LabelStore
from tasks.stores.delta import DataFile, NewFiles
from tasks.stores.workspace import Workspace
from tasks.training.draw_examples import user_or_request
from tasks.training.rows import TaskRows
from tasks.training.sampling import hold_out_users
from tasks.training.trees import score_rows, train_model

MOST_SLOWER, MOST_MEMORY = 1.15, 6.0
SURFACE, TASK = "feed", "click"
NUMBERS = tuple(f"n{i}" for i in range(36))
CATEGORIES = tuple(f"c{i}" for i in range(4))
FIRST, DAYS, AS_OF = date(2026, 1, 1), 20, datetime(2026, 1, 27, tzinfo=UTC)
LATER: Final = (date(2026, 1, 22), date(2026, 1, 24))
"""The calibrate and the test day; between them and the train days lie days of open windows, without rows."""
PER_REQUEST, BATCH = 20, 500_000
HELD_OUT = 0.1


def main() -> None:
    """Write the store, train in processes of their own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="without lightgbm.train, also where it fits")
    parser.add_argument("--numbers", choices=["float32", "float64"], default="float64")
    parser.add_argument("--folder", type=Path, help="write the store here; it is removed at the end")
    parser.add_argument("--train", choices=sorted(TRAINED), help="train from the store in --folder, as JSON")
    asked = parser.parse_args()
    parameters = {"num_leaves": 63, "learning_rate": 0.05, "rounds": asked.trees}
    if asked.train:
        print(json.dumps(TRAINED[asked.train](asked.folder, parameters, asked.threads)))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        write(Path(folder), asked.rows, np.dtype(asked.numbers), threads=asked.threads)
        names = ["streamed", "matrix"] if fits(asked.rows) and not asked.alone else ["streamed"]
        passed = ["--trees", str(asked.trees), "--threads", str(asked.threads), "--folder", folder]
        found = {name: measured(name, passed) for name in names}
    features = len(NUMBERS) + len(CATEGORIES)
    print(f"training scale: {asked.rows:,} rows, {features} features, {asked.trees} trees")
    print_figures(found)


def fits(rows: int) -> bool:
    """Whether this machine holds what ``lightgbm.train`` takes: some three matrices of 8 bytes a number."""
    bytes_of_machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 3.5 * rows * (len(NUMBERS) + len(CATEGORIES)) * 8 < bytes_of_machine


def measured(name: str, passed: list[str]) -> dict[str, float]:
    """Train in a process of its own; return what it reports."""
    words = [sys.executable, "-m", "benchmarks.training_scale", "--train", name, *passed]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_figures(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Print seconds and memory, and ratios where both were trained.

    Raises
    ------
    SystemExit
        The models differ.
    """
    for name, one in found.items():
        steps = ", ".join(f"{step} {value:.1f} GB" for step, value in one["peaks"].items())
        print(f"  {name:9} {one['seconds']:7.1f} s, of processors {one['busy']:7.1f} s; peak after {steps}")
    ours = found["streamed"]
    if "matrix" in found:
        plain = found["matrix"]
        if plain["text"] != ours["text"]:
            raise SystemExit("the models differ")
        ratios = [ours[clock] / plain[clock] for clock in ("seconds", "busy")]
        print(
            f"  the same bytes; ratio {ratios[0]:.3f} by the clock, {ratios[1]:.3f} by processors "
            f"(at most {MOST_SLOWER})"
        )
    peak = max(ours["peaks"].values())
    print(f"  peak memory, ratio to the allowed {MOST_MEMORY:g} GB: {peak / MOST_MEMORY:.2f}")


def train_streamed(folder: Path, parameters: Mapping[str, float], threads: int) -> dict[str, Any]:
    """Train from the label store as the step does, then score the calibrate and the test day."""
    rows, peaks = open_rows(folder), {}
    began, busy = time.perf_counter(), time.process_time()
    trained = train_model(rows, None, lambda _: (parameters, None))
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    peaks["training"] = peak()
    model = trained.fitted.booster, trained.rows.encoder
    for days in (rows.slices.calibrate, rows.slices.test):
        score_rows(rows, days, *model)
    peaks["scoring"] = peak()
    return {"seconds": seconds, "busy": busy, "peaks": peaks, "text": trained.fitted.text}


def train_on_matrix(folder: Path, parameters: Mapping[str, float], threads: int) -> dict[str, Any]:
    """Train with LightGBM alone on a matrix of the same rows."""
    began, busy = time.perf_counter(), time.process_time()
    files = sorted((folder / "labels" / SURFACE).glob("ds=*/*.parquet"))[:DAYS]
    table = pa.concat_tables(
        [pq.ParquetFile(file).read([c.USER_ID, c.REQUEST_ID, TASK, *NUMBERS, *CATEGORIES]) for file in files]
    )
    kind = table.schema.field(NUMBERS[0]).type.to_pandas_dtype()
    matrix = np.empty((len(table), len(NUMBERS) + len(CATEGORIES)), kind)
    for place, name in enumerate((*NUMBERS, *CATEGORIES)):
        column = table.column(name)
        matrix[:, place] = codes_of(column) if name in CATEGORIES else column.to_numpy()
    labels = table.column(TASK).to_numpy().astype(np.float64)
    held = hold_out_users(user_or_request(table), share=HELD_OUT, salt="early stop")
    del table, column
    text = grow(matrix, labels, held, parameters, threads)
    spent = {"seconds": time.perf_counter() - began, "busy": time.process_time() - busy}
    return {
        **spent,
        "peaks": {"training": peak()},
        "text": text.replace(f"[num_threads: {threads}]", "[num_threads: 0]"),
    }


TRAINED: Final = {"streamed": train_streamed, "matrix": train_on_matrix}


def grow(
    matrix: np.ndarray, labels: np.ndarray, held: np.ndarray, parameters: Mapping[str, float], threads: int
) -> str:
    """Return the text of the model that ``lightgbm.train`` makes, stopped by the held-out rows."""
    settings = {
        "num_leaves": parameters["num_leaves"],
        "learning_rate": parameters["learning_rate"],
        "objective": "binary",
        "metric": "binary_logloss",
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "seed": 0,
        "num_threads": threads,
    }
    names = [*NUMBERS, *CATEGORIES]
    data = lgb.Dataset(
        matrix, labels, feature_name=names, categorical_feature=[*CATEGORIES], params=settings
    ).construct()
    del matrix
    train, fold = (data.subset(np.flatnonzero(rows)) for rows in (~held, held))
    stop = [lgb.early_stopping(50, verbose=False)]
    booster = lgb.train(
        settings, train, int(parameters["rounds"]), valid_sets=[fold], valid_names=["fold"], callbacks=stop
    )
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    return str(lgb.Booster(model_str=text).model_to_string())


def codes_of(column: pa.ChunkedArray) -> np.ndarray:
    """Return each value's place among the sorted distinct ones."""
    encoded = column.combine_chunks().dictionary_encode()
    rank = pc.rank(encoded.dictionary).to_numpy() - 1
    return rank[encoded.indices.to_numpy()]


def peak() -> float:
    """Return the greatest resident memory so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def open_rows(folder: Path) -> TaskRows:
    """Open the task's rows in the store's only snapshot."""
    workspace = open_workspace(folder)
    snapshot = LabelStore(workspace.store, SURFACE).find(None).id
    return TaskRows.open(workspace, task=TASK, as_of=AS_OF, snapshot=snapshot)


def open_workspace(folder: Path) -> Workspace:
    """Open the home in a folder."""
    return Workspace.open(SURFACE, surfaces=folder / "surfaces", home=folder)


def write(folder: Path, rows: int, kind: np.dtype[Any], *, threads: int) -> None:
    """Write contracts, and a label store of them that a build could have made, a day at a time."""
    write_contracts(folder / "surfaces" / SURFACE, threads=threads)
    workspace = open_workspace(folder)
    store, random = LabelStore(workspace.store, SURFACE), np.random.default_rng(0)
    days = [*(FIRST + timedelta(days=n) for n in range(DAYS)), *LATER]
    files = [write_day(Path(str(store.path)), day, rows // DAYS, kind, random) for day in days]
    schema = pq.read_schema(files[0].path).append(pa.field(c.DAY, pa.date32()))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        sums = sum_days(connection, [file.path for file in files], schema)
    recorded = {day: Day(*sums[day]) for day in days}
    contract = workspace.contracts.digests["tasks"]
    build = Build(AS_OF, contract, tuple(schema.names), recorded, {}, {})
    new = NewFiles(files, schema, c.DAY)
    made = store.commit(build, new, replace="everything", path=store.path, expected=None)
    store.publish(made.id, report="", severity="info")


def write_day(
    table: Path, day: date, rows: int, kind: np.dtype[Any], random: np.random.Generator
) -> DataFile:
    """Write the rows of a day in the order in which they are read."""
    file = table / f"ds={day}" / "part.parquet"
    file.parent.mkdir(parents=True)
    requests = -(-rows // PER_REQUEST)
    written = 0
    schema = batch(day, requests, range(1), kind, random).schema
    with pq.ParquetWriter(file, schema) as writer:
        while written < rows:
            piece = range(written, min(written + BATCH, rows))
            writer.write_table(batch(day, requests, piece, kind, random))
            written = piece.stop
    return DataFile(file, rows, file.stat().st_size, {c.DAY: str(day)})


def batch(
    day: date, requests: int, piece: range, kind: np.dtype[Any], random: np.random.Generator
) -> pa.Table:
    """Return rows of a day; the odds of a click follow numbers and a category."""
    row, rows = np.asarray(piece), len(piece)
    request = row // PER_REQUEST
    micros = np.datetime64(day, "us") + (request * (86_400_000_000 // requests)).astype("timedelta64[us]")
    numbers = np.round(random.normal(size=(len(NUMBERS), rows)), 2)
    numbers[3, ::7] = np.nan
    categories = random.integers(0, 50, (len(CATEGORIES), rows))
    log_odds = -3 + numbers[0] + numbers[1] * numbers[2] + (categories[0] % 5 == 0)
    users = (7919 * request + 104_729 * day.toordinal()) % 1_000_000
    return pa.table(
        {
            c.SHOWN_AT: pa.array(micros, pa.timestamp("us", "UTC")),
            c.REQUEST_ID: words(f"{day:%m%d}", request),
            c.ITEM_ID: words("i", 7 * (request % 9000) + row % PER_REQUEST),
            c.USER_ID: words("u", users),
            **{name: pa.array(numbers[i].astype(kind), from_pandas=True) for i, name in enumerate(NUMBERS)},
            **{name: words("v", categories[i]) for i, name in enumerate(CATEGORIES)},
            TASK: pa.array((random.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)),
            c.status(TASK): pa.repeat(c.Status.OBSERVED.value, rows),
            **{name: pa.repeat("1", rows) for name in STAMPS},
        }
    )


def words(prefix: str, numbers: np.ndarray) -> pa.Array:
    """Return numbers as texts that sort alike."""
    distinct, places = np.unique(numbers, return_inverse=True)
    return pa.array([f"{prefix}{number:08d}" for number in distinct]).take(pa.array(places))


def write_contracts(folder: Path, *, threads: int) -> None:
    """Write the four contracts of the surface."""
    folder.mkdir(parents=True)
    positive = {"event": "click", "within": "PT30M"}
    click = {"family": "engagement", "description": "clicked", "positive": positive, "maturity": "PT1H"}
    contents: dict[str, dict[str, Any]] = {
        "surface": {
            "surface": SURFACE,
            "version": 1,
            "owner": "benchmarks",
            "reviewers": {"product": ["ana"]},
            "sources": {name: f"{SURFACE}/{name}/*.parquet" for name in ("impressions", "events")},
            "features": {"numeric": [*NUMBERS], "categorical": [*CATEGORIES]},
            "split": {"train": f"P{DAYS}D", "early_stop": HELD_OUT, "calibrate": "P1D", "test": "P1D"},
            "minimum": {"train": "P7D", "positives": 20},
            "engine": {"threads": threads},
        },
        "tasks": {"contract": SURFACE, "version": 1, "tasks": {TASK: click}},
        "utility": {
            "policy": SURFACE,
            "version": 1,
            "owner": "benchmarks",
            "approvals": ["product"],
            "weights": {TASK: 1.0},
        },
        "slate": {"policy": SURFACE, "version": 1, "length": 10},
    }
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


if __name__ == "__main__":
    main()
