"""Log tables of a feed of any size, and the contract of three tasks on them, made for the benchmarks.

::

    <home>/logs/feed/impressions/<day>.parquet    ten items a request, one key in a thousand twice
    <home>/logs/feed/events/<day>.parquet         clicks, purchases, hides; stock-outs, people who cannot buy;
                                                  by the day on which they happened
    <home>/surfaces/feed/*.yaml

Half as many events as impressions. Nine in ten clicks, purchases and hides belong to an impression, at a
delay that now and then is longer than the window; ids are integers, drawn evenly.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from tasks.stores.store import Store
from tasks.stores.workspace import Workspace

START = datetime(2024, 3, 1, tzinfo=UTC)
DAYS = 14
AS_OF = START + timedelta(days=DAYS)
SURFACE = "feed"

_IMPRESSIONS = """
    SELECT n // 10 AS request_id,
           (hash(n // 10, 'user') % $users)::BIGINT AS user_id,
           (hash(n, 'item') % $items)::BIGINT AS item_id,
           TIMESTAMPTZ '$start' + to_microseconds(((n // 10 + .5) * $gap)::BIGINT) AS shown_at,
           (1 + n % 10)::INTEGER AS position,
           hash(n, 'visible') % 10 < 7 AS visible,
           5 + (hash(n, 'price') % 10000) / 100 AS price,
           (hash(n, 'age') % 400)::INTEGER AS item_age_days,
           hash(n, 'margin') % 1000 / 100 AS margin,
           ['follow', 'search', 'trending', 'sponsored'][(1 + hash(n, 'source') % 4)::BIGINT] AS source,
           'c' || hash(n, 'category') % 40 AS category,
           ['phone', 'tablet', 'desktop'][(1 + hash(n // 10, 'device') % 3)::BIGINT] AS device
    FROM range($first, $last) AS numbers(n)
"""
_TWINS = "SELECT * FROM day UNION ALL SELECT * FROM day WHERE hash(request_id, item_id) % 1000 = 0"

_OUTCOMES = """
    SELECT event, shown_at + to_microseconds((-ln((happened % 10000 + .5) / 10000) * mean * 1e6)::BIGINT)
               AS happened_at,
           user_id, CASE WHEN happened % 10 = 0 THEN item_id + 1 ELSE item_id END AS item_id
    FROM (SELECT *, hash(request_id, item_id, event) AS happened,
                 hash(event, request_id, item_id) % 1000 AS drawn
          FROM day, (VALUES ('click', 360, 600), ('purchase', 90, 250000), ('hide', 40, 100000))
               AS kinds(event, per_thousand, mean))
    WHERE drawn < per_thousand
    UNION ALL
    SELECT 'out_of_stock', shown_at, NULL, item_id FROM day WHERE hash(request_id, item_id, 's') % 1000 < 6
    UNION ALL
    SELECT 'ineligible', shown_at, user_id, NULL FROM day WHERE hash(request_id, item_id, 'i') % 1000 < 4
"""
_EVENTS = f"""
    SELECT event, happened_at, user_id, item_id,
           CASE WHEN event = 'purchase' THEN 5 + hash(user_id, item_id) % 9000 / 100 END AS value,
           happened_at + to_seconds((hash(user_id, happened_at) % 60)::BIGINT) AS ingested_at
    FROM ({_OUTCOMES})
"""  # noqa: S608 - constants

_CONTRACTS = {
    "tasks": """
contract: feed-labels
version: 1
tasks:
  click_30m:
    family: engagement
    positive: {event: click, within: PT30M}
    maturity: PT1H
    observed_when: {column: visible}
  purchase_7d:
    family: conversion
    positive: {event: purchase, within: P7D, credit: last_touch}
    maturity: P8D
    exclude:
      - {event: out_of_stock, on: item}
      - {event: ineligible, on: user}
  hide_7d:
    family: negative
    positive: {event: hide, within: P7D}
    maturity: P8D
""",
    "surface": """
surface: feed
version: 1
owner: benchmarks
reviewers: {product: [ana]}
sources: {impressions: "feed/impressions/*.parquet", events: "feed/events/*.parquet"}
features: {numeric: [price, item_age_days], categorical: [source, category, device]}
values: [margin]
examination: none
split: {train: P2D, calibrate: P1D, test: P1D}
minimum: {train: P1D, positives: 100}
""",
    "utility": """
policy: feed-utility
version: 1
owner: benchmarks
approvals: [product]
weights: {click_30m: 1.0, purchase_7d: 10.0, hide_7d: -3.0}
guardrails: [{metric: hide_7d_rate, relative_increase_max: 0.1, action: block}]
""",
    "slate": "policy: feed-slate\nversion: 1\nlength: 10\n",
}


@dataclass(frozen=True)
class Feed:
    """A home with the log tables and contracts of one surface."""

    home: Path

    @property
    def workspace(self) -> Workspace:
        """Where the steps work."""
        return Workspace(SURFACE, self.home / "surfaces", Store.open(self.home))

    def files(self, table: str) -> str:
        """Return the glob of a log table."""
        return str(self.home / "logs" / SURFACE / table / "*.parquet")


def make(home: Path, *, impressions: int, days: int = DAYS) -> Feed:
    """Write the log tables of so many impressions and half as many events, a file a day each."""
    feed = Feed(home)
    write_contracts(home)
    with duckdb.connect(config={"temp_directory": str(home / "spill")}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for day in range(days):
            _write_day(connection, feed, day, impressions // days // 10 * 10, impressions)
    return feed


def write_contracts(home: Path, **changed: str) -> None:
    """Write the surface's contracts, some of them changed, by their names without the ending."""
    folder = home / "surfaces" / SURFACE
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**_CONTRACTS, **changed}.items():
        (folder / f"{name}.yaml").write_text(text)


def _write_day(
    connection: duckdb.DuckDBPyConnection, feed: Feed, day: int, size: int, all_of_it: int
) -> None:
    numbers = {
        "first": day * size,
        "last": (day + 1) * size,
        "users": max(all_of_it // 50, 1),
        "items": max(all_of_it // 100, 1),
        "gap": 86400_000_000 * 10 / size,
        "start": START.isoformat(),
    }
    sql = _IMPRESSIONS
    for name, value in numbers.items():
        sql = sql.replace(f"${name}", str(value))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE day AS {sql}")
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS waiting AS {_EVENTS} LIMIT 0")
    connection.execute(f"INSERT INTO waiting {_EVENTS}")
    tomorrow = (START + timedelta(days=day + 1)).isoformat()
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE today AS FROM waiting WHERE happened_at < $1::TIMESTAMPTZ", [tomorrow]
    )
    connection.execute("DELETE FROM waiting WHERE happened_at < $1::TIMESTAMPTZ", [tomorrow])
    for table, query in (("impressions", _TWINS), ("events", "FROM today")):
        to = Path(feed.files(table)).with_name(f"{day:02}.parquet")
        to.parent.mkdir(parents=True, exist_ok=True)
        connection.execute(f"COPY ({query}) TO '{to}' (FORMAT parquet)")
