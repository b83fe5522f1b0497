"""A feed of 46 days, small enough to be labelled and trained in a second, with known chances.

Clicks grow with price and in category "b", purchases follow clicks, every third purchase comes back.
"""

import atexit
import functools
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.stores.workspace import Workspace
from tests.stores.mlflow_home import new_home

NAME = "small_feed"
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 46
CANDIDATES = 5
AS_OF = FIRST + timedelta(days=DAYS)

SURFACE = """
surface: small_feed
version: 1
owner: tests
reviewers: {product: [ana]}
sources: {impressions: small_feed/impressions/*.parquet, events: small_feed/events/*.parquet}
features: {numeric: [price, age], categorical: [category]}
segments: [category, {name: item_age, from: age, bins: [10, 20]}]
split: {train: P14D, calibrate: P7D, test: P7D}
minimum: {train: P7D, positives: 20}
lightgbm:
  default: {num_leaves: 7, learning_rate: 0.1, rounds: 40, early_stopping_rounds: 10}
"""
CLICKS_AND_PURCHASES = """
contract: small-feed-labels
version: 1
tasks:
  click_1d: {family: engagement, positive: {event: click, within: P1D}}
  buy_2d: {family: conversion, positive: {event: buy, within: P2D}}
"""
TASKS = """
contract: small-feed-labels
version: 1
tasks:
  click_1d: {family: engagement, positive: {event: click, within: P1D}, observed_when: {column: visible}}
  buy_2d:
    family: conversion
    positive: {event: buy, within: P2D}
    sampling: {negatives: 0.5}
    loss_weight: 2.0
  back_2d: {family: negative, positive: {event: back, within: P2D, after: buy_2d}}
  spend_2d: {family: conversion, kind: value, value: {event: buy, within: P2D, aggregate: sum}}
"""
UTILITY = """
policy: small-feed-utility
version: 1
owner: tests
approvals: [product]
weights: {click_1d: 1.0, buy_2d: 10.0, back_2d: -5.0}
guardrails: [{metric: back_2d_rate, relative_increase_max: 0.05, action: block}]
"""
SLATE = "{policy: small-feed-slate, version: 1, length: 3}\n"


def small_feed(folder: Path) -> tuple[Workspace, str]:
    """Put the small feed, labelled and published, below a folder; return where it is and its snapshot."""
    made, snapshot = _template()
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return _workspace(folder), snapshot


def labelled(folder: Path) -> tuple[Workspace, str]:
    """Label and publish the logs that were written below a folder."""
    workspace = _workspace(folder)
    new_home(workspace.home)
    snapshot = labels.run(workspace, as_of=AS_OF).snapshot
    LabelStore(workspace.store, NAME).publish(snapshot, report="report.html", severity="none")
    return workspace, snapshot


@functools.cache
def _template() -> tuple[Path, str]:
    folder = Path(tempfile.mkdtemp(prefix="small-feed-"))
    atexit.register(shutil.rmtree, folder)
    write_contracts(folder / "surfaces")
    write_logs(folder / "home/logs")
    return folder, labelled(folder)[1]


def _workspace(folder: Path) -> Workspace:
    return Workspace.open(NAME, surfaces=folder / "surfaces", home=folder / "home")


def write_contracts(folder: Path, **changed: str) -> Path:
    """Write the four files below ``folder``; `changed` replaces one by name."""
    files = {"surface": SURFACE, "tasks": TASKS, "utility": UTILITY, "slate": SLATE, **changed}
    (folder / NAME).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / NAME / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def write_logs(
    logs: Path,
    *,
    days: tuple[int, int] = (0, DAYS),
    requests_a_day: int = 90,
    visible: bool = True,
    seed: int = 7,
    part: str = "a",
) -> None:
    """Write impressions and events of some days below ``logs``; parts of other names have other ids."""
    random = np.random.default_rng(seed)
    requests = (days[1] - days[0]) * requests_a_day
    n = requests * CANDIDATES
    request = np.repeat(np.arange(requests), CANDIDATES)
    seconds = np.sort(random.integers(days[0] * 86_400, days[1] * 86_400, requests))
    shown, user = np.repeat(seconds, CANDIDATES), np.repeat(random.integers(0, 400, requests), CANDIDATES)
    price, age, category = random.random(n), random.integers(0, 30, n), random.integers(0, 3, n)
    click = random.random(n) < 1 / (1 + np.exp(3 - 3 * price - (category == 1)))
    buy = click & (random.random(n) < 0.35)
    back = buy & (random.random(n) < 0.2 + 0.3 * price)
    keys = {
        "request_id": _ids(f"r{part}", request),
        "user_id": _ids("u", user),
        "item_id": _ids(f"i{part}", np.arange(n)),
    }
    impressions = {
        **keys,
        "shown_at": _instants(shown),
        "visible": pa.array(np.full(n, visible)),
        "price": pa.array(price),
        "age": pa.array(age.astype(float)),
        "category": pa.array(np.array(["a", "b", "c"])[category]),
    }
    happened = (("click", click, 60), ("buy", buy, 3_600), ("back", back, 86_400))
    rows = np.concatenate([np.flatnonzero(mask) for _, mask, _ in happened])
    event = np.concatenate([np.full(mask.sum(), name) for name, mask, _ in happened])
    delay = np.concatenate([np.full(mask.sum(), seconds) for _, mask, seconds in happened])
    events = {
        "event": pa.array(event),
        "happened_at": _instants(shown[rows] + delay),
        **{name: ids.take(pa.array(rows)) for name, ids in keys.items()},
        "value": pa.array(np.where(event == "buy", 10 * price[rows], np.nan), from_pandas=True),
    }
    for table, columns in (("impressions", impressions), ("events", events)):
        (logs / NAME / table).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), logs / NAME / table / f"{part}.parquet")


def _ids(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pa.array([f"{prefix}{number}" for number in numbers.tolist()])


def _instants(seconds: np.ndarray) -> pa.Array:
    micros = (int(FIRST.timestamp()) + seconds) * 1_000_000
    return pa.array(micros).cast(pa.timestamp("us", tz="UTC"))
