"""Makes the home that tests/test_made_before.py holds later code against; it is not run by the tests.

::

    python tests/made_before/make.py REV ARCHIVE         from the repository's root

The logs are 27 days of a feed with known chances; the release is made as of the end of the 26th and promoted.
The home is made at NEUTRAL by a copy of the code that lies there too, because MLflow keeps absolute paths, of
its artifacts and of the program: whoever unpacks the home elsewhere rewrites that one prefix
(tests/made_before/unpack.py). All is done by the command line, so any commit can make one.
"""

import contextlib
import gzip
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

NEUTRAL = Path("/tmp/equipoise-fixture")  # noqa: S108 - a path that says nothing of the machine
NAME, CODE = "feed", "code"
ROOT = Path(__file__).resolve().parents[2]
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, LATER_DAYS, REQUESTS_A_DAY, CANDIDATES, SEED = 26, 1, 60, 5, 11
AS_OF = FIRST + timedelta(days=DAYS)
LEFT_OUT = {"locks", "tmp", "reports", ".lock"}
"""What a home does without: it is made again where it is missing."""
FOR_PEOPLE = {".html", ".png", ".svg"}
"""Pages and pictures of MLflow's runs, which no step reads: two thirds of the bytes."""

CONTRACTS = {
    "surface": """
surface: feed
version: 1
owner: tests
reviewers: {product: [ana]}
sources: {impressions: feed/impressions/*.parquet, events: feed/events/*.parquet}
features: {numeric: [price, age], categorical: [category]}
segments: [region, {name: item_age, from: age, bins: [10, 20]}]
values: [margin]
examination: {by_position: [1.0, 0.9, 0.8, 0.7, 0.6]}
split: {train: P10D, calibrate: P4D, test: P4D}
minimum: {train: P7D, positives: 10}
lightgbm:
  default: {num_leaves: 7, learning_rate: 0.2, rounds: 20, min_data_in_leaf: 20}
gates:
  data: {rows: 100, positives: 5, severity: critical}
  model: {auc_drop_max: 0.5, normalized_entropy_rise_max: 1.0, first: {auc_min: 0.3}}
  calibration: {ratio: [0.2, 5.0]}
  decision: {baseline: champion, first: logged}
  shadow: {overlap_at_k_min: 0.01, score_shift_max: 10.0}
  freshness: {newest_training_row: P60D}
  cannot_tell: warn
""",
    "tasks": """
contract: feed-labels
version: 1
tasks:
  click_6h: {family: engagement, positive: {event: click, within: PT6H}, observed_when: {column: visible}}
  buy_1d: {family: conversion, positive: {event: buy, within: P1D}, sampling: {negatives: 0.5}}
  back_1d: {family: negative, positive: {event: back, within: P1D, after: buy_1d}}
  spend_1d: {family: conversion, kind: value, value: {event: buy, within: P1D, aggregate: sum}}
""",
    "utility": """
policy: feed-utility
version: 1
owner: tests
approvals: [product]
weights: {click_6h: 1.0, buy_1d: {weight: 10.0, times: margin}, back_1d: -5.0}
contexts: [{name: north, when: {region: [north]}, weights: {click_6h: 2.0}}]
hard_constraints: [{name: not_permitted, keep_when: {column: permitted, equals: true}}]
guardrails: [{metric: back_1d_predicted, max: 0.9, action: block}]
""",
    "slate": "{policy: feed-slate, version: 1, length: 3, max_per: {category: 2}}\n",
}


def main(revision: str, archive: Path) -> None:
    """Make the home, its release and what the release says of a few requests; pack all of it."""
    shutil.rmtree(NEUTRAL, ignore_errors=True)
    copy_code(revision)
    write_contracts(NEUTRAL / "surfaces" / NAME)
    write_logs(NEUTRAL / "home" / "logs" / NAME)
    at = AS_OF.isoformat()
    said = {
        "made_by": {"commit": git("rev-parse", revision).decode().strip(), "as_of": at},
        "retrain": equipoise("retrain", NAME, "--as-of", at),
        "labels": equipoise("labels", "build", NAME, "--as-of", at),
        "promote": equipoise("promote", NAME, "1", "--why", "the first champion", "--by", "ana"),
        "show": equipoise("release", "show", NAME, "1"),
        "history": equipoise("release", "history", NAME),
    }
    expected = NEUTRAL / "expected"
    expected.mkdir()
    request = write_candidates(expected / "candidates.parquet")
    given = ("--release", "champion", "--input", str(expected / "candidates.parquet"))
    said["score"] = equipoise("score", NAME, *given, "--out", str(expected / "scored.parquet"))
    said["explain"] = equipoise("explain", NAME, *given, "--request", request)
    for name, answer in said.items():
        (expected / f"{name}.json").write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    settle(NEUTRAL / "home" / "mlflow" / "mlflow.db")
    pack(archive)


def copy_code(revision: str) -> None:
    """Put the files of a commit below NEUTRAL."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", revision))) as files:
        files.extractall(NEUTRAL / CODE, filter="data")


def git(*words: str) -> bytes:
    """Ask git about the repository that this file is in."""
    return subprocess.run(["git", *words], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def equipoise(*words: str) -> object:
    """Run one command on the home; return the JSON that it printed."""
    where = ("--surfaces", str(NEUTRAL / "surfaces"), "--home", str(NEUTRAL / "home"), "--json")
    command = [sys.executable, "-m", "tasks.cli", *words, *where]
    done = subprocess.run(command, cwd=NEUTRAL / CODE, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def write_contracts(folder: Path) -> None:
    """Write the surface's four files."""
    folder.mkdir(parents=True)
    for name, text in CONTRACTS.items():
        (folder / f"{name}.yaml").write_text(text.lstrip(), encoding="utf-8")


def write_logs(logs: Path) -> None:
    """Write impressions and events.

    Clicks grow with the price, and by a region that no model sees, so that their map is one by segment;
    purchases follow clicks, a third of them comes back within a day.
    """
    random = np.random.default_rng(SEED)
    requests = (DAYS + LATER_DAYS) * REQUESTS_A_DAY
    n, request = requests * CANDIDATES, np.repeat(np.arange(requests), CANDIDATES)
    shown = np.repeat(np.sort(random.integers(0, (DAYS + LATER_DAYS) * 86_400, requests)), CANDIDATES)
    user = np.repeat(random.integers(0, 300, requests), CANDIDATES)
    price, age = random.integers(0, 100, n) / 100, random.integers(0, 30, n).astype(float)
    category, region = random.integers(0, 3, n), (user % 3)
    position = np.tile(np.arange(1, CANDIDATES + 1), requests)
    looked = random.random(n) < 1.1 - 0.1 * position
    click = looked & (
        random.random(n) < 1 / (1 + np.exp(1.5 - 2 * price - 1.5 * (category == 1) - 2 * (region - 1)))
    )
    buy = click & (random.random(n) < 0.4)
    back = buy & (random.random(n) < 0.2 + 0.3 * price)
    keys = {"request_id": _ids("r", request), "user_id": _ids("u", user), "item_id": _ids("i", np.arange(n))}
    impressions = {
        **keys,
        "shown_at": _instants(shown),
        "position": pa.array(position),
        "visible": pa.array(random.random(n) < 0.9),
        "permitted": pa.array(random.random(n) < 0.95),
        "price": pa.array(price),
        "age": pa.array(age),
        "margin": pa.array(random.integers(1, 30, n) / 10),
        "category": pa.array(np.array(["a", "b", "c"])[category]),
        "region": pa.array(np.array(["north", "middle", "south"])[region]),
    }
    events = _events({"click": (click, 60), "buy": (buy, 3_600), "back": (back, 7_200)}, keys, shown, price)
    for table, columns in (("impressions", impressions), ("events", events)):
        (logs / table).mkdir(parents=True)
        pq.write_table(pa.table(columns), logs / table / "log.parquet", compression="zstd")


def write_candidates(file: Path) -> str:
    """Write the requests of the last day as candidates; return the id of one of them."""
    rows = pq.read_table(NEUTRAL / "home" / "logs" / NAME / "impressions" / "log.parquet")
    rows = rows.filter(pc.greater_equal(rows["shown_at"], pa.scalar(AS_OF)))
    pq.write_table(rows.drop_columns(["shown_at", "visible", "position"]), file, compression="zstd")
    return str(rows["request_id"][0].as_py())


def settle(database: Path) -> None:
    """Leave the database as one small file."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def pack(archive: Path) -> None:
    """Pack surfaces, home and what is expected, without times and owners."""
    with (
        archive.open("wb") as out,
        gzip.GzipFile("", "wb", mtime=0, fileobj=out) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as packed,
    ):
        for file in sorted(_kept(NEUTRAL)):
            info = tarfile.TarInfo(file.relative_to(NEUTRAL).as_posix())
            data = file.read_bytes()
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))


def _kept(folder: Path) -> Iterator[Path]:
    for file in folder.rglob("*"):
        below = file.relative_to(folder).parts
        left_out = file.suffix in FOR_PEOPLE or below[0] == CODE or not LEFT_OUT.isdisjoint(below)
        if file.is_file() and not left_out:
            yield file


def _events(
    happened: dict[str, tuple[np.ndarray, int]],
    keys: dict[str, pa.Array],
    shown: np.ndarray,
    price: np.ndarray,
) -> dict[str, pa.Array]:
    rows = np.concatenate([np.flatnonzero(mask) for mask, _ in happened.values()])
    event = np.concatenate([np.full(mask.sum(), name) for name, (mask, _) in happened.items()])
    delay = np.concatenate([np.full(mask.sum(), seconds) for mask, seconds in happened.values()])
    return {
        "event": pa.array(event),
        "happened_at": _instants(shown[rows] + delay),
        **{name: ids.take(pa.array(rows)) for name, ids in keys.items()},
        "value": pa.array(np.where(event == "buy", 10 * price[rows], np.nan), from_pandas=True),
    }


def _ids(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix}{number}" for number in numbers.tolist()])


def _instants(seconds: np.ndarray) -> pa.Array:
    return pa.array((int(FIRST.timestamp()) + seconds) * 1_000_000).cast(pa.timestamp("us", tz="UTC"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
