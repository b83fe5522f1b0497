"""A surface with a ramp, whose log is written as users were assigned: hides of both releases have known rates.

::

    stages    25 % from day 0, 50 % after it; release 2 ramps beside champion 1
    log       people of one request a day with four impressions, of which `hides` are hidden a minute later
"""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.contracts.gates import UserPool
from tasks.experiments.ramp_log import RampShare
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.stores.mlflow_home import new_home
from tests.stores.registered import register

NAME = "ramp_feed"
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
SHARES = (0.25, 0.5)
SHOWN = 4
USERS = 1500

SURFACE = """
surface: ramp_feed
version: 1
owner: tests
reviewers: {product: [ana]}
sources: {impressions: ramp_feed/impressions/*.parquet, events: ramp_feed/events/*.parquet}
features: {numeric: [price]}
split: {train: P14D, calibrate: P7D, test: P7D}
ramp:
  stages: [{share: 0.25, harm: 0.5}, {share: 0.5, harm: 0.3}]
  guardrails: [hide_7d_rate, like_7d_rate]
"""
TASKS = """
contract: ramp-labels
version: 1
tasks:
  hide_7d: {family: negative, positive: {event: hide, within: P7D}}
  like_7d: {family: satisfaction, positive: {event: like, within: P7D}}
"""
UTILITY = """
policy: ramp-utility
version: 1
owner: tests
approvals: [product]
weights: {like_7d: 1.0, hide_7d: -1.0}
guardrails: [{metric: hide_7d_rate, relative_increase_max: 0.15, action: block}]
"""
SLATE = "{policy: ramp-slate, version: 1, length: 3}\n"


@dataclass(frozen=True)
class Rates:
    """Chances that an impression is hidden and liked, by release, and the pool of each that ramps."""

    hides: tuple[float, ...] = (0.1, 0.1)
    likes: tuple[float, ...] = (0.1, 0.1)
    pools: Mapping[int, UserPool] = field(default_factory=lambda: {2: UserPool()})


EQUAL = Rates()


def ramping(folder: Path, *, stages: int = 1) -> Workspace:
    """Return a surface whose release 2 has reached so many stages, two days each, with no log yet."""
    shutil.copytree(_template(stages), folder, dirs_exist_ok=True)
    return _workspace(folder)


@functools.cache
def _template(stages: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ramp-feed-"))
    atexit.register(shutil.rmtree, folder)
    write_contracts(folder / "surfaces")
    new_home(folder / "home")
    begin(_workspace(folder), stages=stages)
    return folder


def write_contracts(surfaces: Path) -> None:
    """Write the four files below a folder of surfaces."""
    for name, text in {"surface": SURFACE, "tasks": TASKS, "utility": UTILITY, "slate": SLATE}.items():
        file = surfaces / NAME / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def begin(workspace: Workspace, *, stages: int, began: datetime = BEGAN) -> None:
    """Register two releases, and let the second one reach some stages beside the first."""
    moves = workspace.aliases
    register(moves, "1", "2")
    first = Entry(Kind.PROMOTE, "ana", 1, None, "the first", at=began - timedelta(days=30))
    ramped = [
        Entry(Kind.CANARY, "ana", 2, 1, "likes rose", share=share, at=began + timedelta(days=2 * number))
        for number, share in enumerate(SHARES[:stages])
    ]
    for row in (first, *ramped):
        moves.add(lambda *_, row=row: row)


def _workspace(folder: Path) -> Workspace:
    return Workspace.open(NAME, surfaces=folder / "surfaces", home=folder / "home")


def write_log(
    workspace: Workspace,
    *,
    days: int,
    rates: Rates = EQUAL,
    stages: int = 1,
    began: datetime = BEGAN,
    change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
) -> None:
    """Write the impressions and events of some days since the ramp began.

    Parameters
    ----------
    change : makes another log of the impressions, as one that is wrong.
    """
    rng = np.random.default_rng(0)
    day, user = (part.ravel() for part in np.indices((days, USERS)))
    share = np.array(SHARES)[np.minimum(day // 2, stages - 1)]
    second = day * 86_400 + rng.integers(1, 86_400, day.size)
    request = np.repeat(np.arange(day.size), SHOWN)
    serving = np.ones(day.size, dtype=np.int64)
    for release, pool in rates.pools.items():
        ramp = RampShare(release, 0.0, pool)
        places = [ramp.place_of(f"u{n}", surface=NAME) for n in range(USERS)]
        serving[np.array([1.0 if one is None else one for one in places])[user] < share] = release
    served = np.repeat(serving, SHOWN)
    at = pd.Timestamp(began.replace(tzinfo=None)) + pd.to_timedelta(np.repeat(second, SHOWN), unit="s")
    rows = pd.DataFrame(
        {
            "request_id": [f"r{n}" for n in request],
            "user_id": [f"u{n}" for n in np.repeat(user, SHOWN)],
            "item_id": [f"i{n}" for n in range(request.size)],
            "shown_at": at.as_unit("us"),
            "price": rng.random(request.size),
            "release": served.astype(str),
        }
    )
    happened = []
    for event, by_release in (("hide", rates.hides), ("like", rates.likes)):
        of = rows[rng.random(len(rows)) < np.array(by_release)[served - 1]]
        late = of["shown_at"] + pd.Timedelta(minutes=1)
        happened.append(of[["request_id", "user_id", "item_id"]].assign(event=event, happened_at=late))
    for table, frame in (("impressions", change(rows)), ("events", pd.concat(happened))):
        folder = workspace.home / "logs" / NAME / table
        folder.mkdir(parents=True, exist_ok=True)
        columns = pa.Table.from_pandas(frame, preserve_index=False)
        utc = [
            pa.field(one.name, pa.timestamp("us", "UTC")) if pa.types.is_timestamp(one.type) else one
            for one in columns.schema
        ]
        pq.write_table(columns.cast(pa.schema(utc)), folder / "a.parquet")
