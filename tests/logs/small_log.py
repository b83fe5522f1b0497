"""A log of six impressions and a few events, and the contracts of its surface, to be spoiled by tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.contracts import Contracts, SlateSpec, TasksSpec, UtilitySpec
from tasks.errors import DataError
from tasks.logs.session import open_tables, session
from tasks.logs.tables import LogTables
from tests.labels import worlds
from tests.labels.engine import tasks

START = datetime(2024, 3, 1, tzinfo=UTC)
SPEC = tasks(
    click={"positive": {"event": "click", "within": "PT2H"}},
    buy={
        "positive": {"event": "buy", "within": "P1D", "value_at_least": 1},
        "exclude": [{"event": "stock_out", "on": "item"}],
    },
)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def instants(*hours: float | None) -> pa.Array:
    return pa.array([None if hour is None else at(hour) for hour in hours], pa.timestamp("us", "UTC"))


def impressions(**changed: Any) -> pa.Table:
    """Three requests of two items, shown at hours 0, 1 and 30; columns can be replaced, or dropped by None."""
    columns = {
        "request_id": ["q", "q", "r", "r", "s", "s"],
        "user_id": ["u", "u", "v", "v", "u", "u"],
        "item_id": [1, 2, 1, 2, 1, 2],
        "shown_at": instants(0, 0, 1, 1, 30, 30),
        "position": [1, 2, 1, 2, 1, 2],
        "kind": ["x", "y", "x", "y", "x", "y"],
    }
    return _table(columns, changed)


def events(**changed: Any) -> pa.Table:
    """Two clicks, a purchase and a stock-out, at hours 0.5, 1, 5 and 40."""
    columns = {
        "event": ["click", "click", "buy", "stock_out"],
        "happened_at": instants(0.5, 1, 5, 40),
        "user_id": ["u", "v", "u", None],
        "item_id": [1, 2, 1, 2],
        "value": [None, None, 3.5, None],
    }
    return _table(columns, changed)


def _table(columns: Mapping[str, Any], changed: Mapping[str, Any]) -> pa.Table:
    return pa.table({n: v for n, v in {**columns, **changed}.items() if v is not None})


def contracts(spec: TasksSpec = SPEC, **surface: Any) -> Contracts:
    sources = {"impressions": "shop/impressions/*.parquet", "events": "shop/events/*.parquet"}
    return Contracts(
        surface=worlds.surface(**{"sources": sources, **surface}),
        tasks=spec,
        utility=UtilitySpec.model_construct(),
        slate=SlateSpec.model_construct(),
        digests={"tasks": "digest"},
    )


@dataclass
class Shop:
    """The folder of the logs, and what is put there."""

    home: Path
    contracts: Contracts = field(default_factory=contracts)

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def put(self, table: str, *parts: pa.Table) -> "Shop":
        """Write each part as one file of the table."""
        folder = self.logs / "shop" / table
        folder.mkdir(parents=True, exist_ok=True)
        for n, part in enumerate(parts):
            pq.write_table(part, folder / f"{n}.parquet")
        return self

    @contextmanager
    def opened(self, as_of: float | None = None) -> Iterator[LogTables]:
        """Open the log, cut at an hour."""
        with session(self.home, threads=1) as connection:
            log = open_tables(connection, self.logs, self.contracts)
            if as_of is not None:
                log.cut(START + timedelta(hours=as_of))
            yield log


def refused(shop: Shop) -> str:
    """Return the message with which a log is refused."""
    with pytest.raises(DataError) as error, shop.opened():
        pass
    return str(error.value)
