"""A feed that nobody starts by hand: its log ends at the last midnight, and so does the interval of its retrain.

::

    logs/timed_feed       the mini home_feed, moved by whole days, so that the last is yesterday
    surfaces/timed_feed   two tasks that share a trunk; a retrain that passes proposes its release, and a role has seconds for its answer
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.stores.workspace import Workspace
from tests.feeds import mini

NAME: Final = "timed_feed"
_TIMES: Final = ("shown_at", "happened_at", "ingested_at")


def add_timed_feed(workspace: Workspace, world: Path) -> None:
    """Write the surface and its log beside those of the mini home_feed.

    Parameters
    ----------
    world : the log of the mini home_feed, whole.
    """
    surfaces = workspace.surfaces
    mini.write_contracts(surfaces / ".whole")
    shutil.move(surfaces / ".whole" / mini.NAME, surfaces / NAME)
    (surfaces / ".whole").rmdir()
    for kind, change in (("tasks", mini.two_tasks), ("utility", mini.utility_of_two), ("surface", _timed)):
        mini.rewrite(surfaces / NAME / f"{kind}.yaml", change)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    _move_log(world, Path(str(workspace.logs)) / NAME, by=today - mini.LATER)


def _timed(plain: dict[str, Any]) -> None:
    mini.surface_with_trunk(plain)
    plain["surface"] = NAME
    plain["sources"] = {table: f"{NAME}/{table}/*.parquet" for table in plain["sources"]}
    plain["until"] = None
    plain["schedule"] = {**plain["schedule"], "retrain": "0 0 * * *"}
    plain["arrival"] = {"within": "P2D", "deadline": "PT10M", "every": "PT10S"}
    plain["promotion"] = {"propose": True, "answer_within": "PT10S"}


def _move_log(world: Path, logs: Path, *, by: timedelta) -> None:
    for table in ("impressions", "candidates", "events"):
        (logs / table).mkdir(parents=True)
        for file in sorted((world / table).glob("*.parquet")):
            rows = pq.read_table(file)
            for name in {*_TIMES} & set(rows.column_names):
                moved = pc.add(rows[name], pa.scalar(by))
                rows = rows.set_column(rows.column_names.index(name), name, moved)
            pq.write_table(rows, logs / table / file.name)
