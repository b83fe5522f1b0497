"""Crediting by user alone where one user has 44,000 impressions: ``python -m benchmarks.label_skew``.

Two million impressions and a million events within two weeks, of a million people as Zipf would have them; a
click within 24 hours of any impression of the same person. Our build counts what a join would visit and so
scans; against it stands a hand-written ASOF join of DuckDB. Both read Parquet and make a table.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from benchmarks.feed.log import AS_OF, DAYS, START, Feed, write_contracts
from tasks.labels.compile import label_query
from tasks.labels.query import Horizon, make_credit_tables
from tasks.logs import rows
from tasks.logs.session import open_tables, session

IMPRESSIONS = 2_000_000
RUNS = 3
MOST = 3.0

CONTRACTS = {
    "tasks": """
contract: skewed-labels
version: 1
tasks:
  click_1d:
    family: engagement
    level: request
    positive: {event: click, within: PT24H, match: [user_id]}
  tap_1h: {family: engagement, positive: {event: click, within: PT1H}}
""",
    "surface": """
surface: feed
version: 1
owner: benchmarks
reviewers: {product: [ana]}
sources: {impressions: "feed/impressions/*.parquet", events: "feed/events/*.parquet"}
features: {numeric: [price]}
examination: none
split: {train: P2D, calibrate: P1D, test: P1D}
minimum: {train: P1D, positives: 100}
""",
    "utility": """
policy: skewed-utility
version: 1
owner: benchmarks
approvals: [product]
weights: {tap_1h: 1.0}
""",
}
_PEOPLE, _EXPONENT = 1_000_000, 0.11
"""Ranks have a density of rank^(exponent - 1): the first has 2.2 % of all rows."""

_DRAWN = f"""
    CREATE OR REPLACE TEMP TABLE drawn AS
    SELECT n, floor(pow(person * (pow({_PEOPLE}, {_EXPONENT}) - 1) + 1, 1 / {_EXPONENT}))::BIGINT AS user_id,
           TIMESTAMPTZ '{START.isoformat()}' + to_microseconds((time * {DAYS} * 86400e6)::BIGINT) AS instant
    FROM (SELECT n, (hash(n, $name, 'user') % 1000000007) / 1000000007 AS person,
                 (hash(n, $name, 'at') % 1000000007) / 1000000007 AS time FROM range($rows) AS numbers(n))
"""  # noqa: S608 - constants
_TABLES = {
    "impressions": "n // 10 AS request_id, user_id, n % 10 AS item_id, instant AS shown_at, n % 97 AS price",
    "events": "'click' AS event, instant AS happened_at, user_id, n % 10 AS item_id",
}
_BY_HAND = """
    CREATE OR REPLACE TEMP TABLE by_hand AS
    SELECT request_id, impressions.item_id, impressions.user_id, shown_at, happened_at
    FROM impressions ASOF JOIN events ON impressions.user_id = events.user_id AND shown_at <= happened_at
    WHERE shown_at < $as_of AND event = 'click' AND happened_at < $as_of
      AND happened_at < shown_at + INTERVAL 24 HOUR
"""


def main() -> None:
    """Credit in turn in one session, compare, print seconds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--impressions", type=int, default=IMPRESSIONS)
    wanted = parser.parse_args().impressions
    with tempfile.TemporaryDirectory() as folder:
        feed = _make(Path(folder), wanted)
        with session(feed.home) as connection:
            by_hand = partial(connection.execute, _BY_HAND, {"as_of": AS_OF})
            ways: dict[str, Callable[[], object]] = {"asof": by_hand, "ours": _ours(feed, connection)}
            seconds = {name: min(_seconds(way) for _ in range(RUNS)) for name, way in ways.items()}
            ((top, differing),) = connection.execute(
                """SELECT (SELECT max(n) FROM (SELECT count(*) AS n FROM impressions GROUP BY user_id)),
                          (SELECT count(*) FROM (SELECT user_id, shown_at, happened_at FROM by_hand
                            EXCEPT SELECT user_id, _opens, _at FROM click_1d__credited))"""
            ).fetchall()
    if differing:
        raise SystemExit(f"{differing} windows are credited otherwise than by hand")
    print(
        f"label skew: {wanted:,} impressions, {top:,} of one person\n"
        f"  ASOF by hand {seconds['asof']:.2f} s, ours {seconds['ours']:.2f} s, ratio "
        f"{seconds['ours'] / seconds['asof']:.2f} (at most {MOST:.0f})"
    )


def _make(home: Path, impressions: int) -> Feed:
    feed = Feed(home)
    write_contracts(home, **CONTRACTS)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for (table, columns), count in zip(_TABLES.items(), (impressions, impressions // 2), strict=True):
            connection.execute(_DRAWN, {"name": table, "rows": count})
            to = Path(feed.files(table)).with_name("0.parquet")
            to.parent.mkdir(parents=True)
            connection.execute(f"COPY (SELECT {columns} FROM drawn) TO '{to}' (FORMAT parquet)")  # noqa: S608 - constants
    return feed


def _ours(feed: Feed, connection: duckdb.DuckDBPyConnection) -> Callable[[], None]:
    log = open_tables(connection, feed.workspace.logs, feed.workspace.contracts)
    log.cut(AS_OF)
    query = label_query(feed.workspace.contracts.tasks, Horizon.whole(AS_OF), log=log.log)
    for name in (rows.SHOWN, rows.KNOWN):
        log.create(name, query.rows[name], view=True)
    return lambda: make_credit_tables(log, query.creditings["click_1d"])


def _seconds(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
