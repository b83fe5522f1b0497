"""The Open Bandit Dataset (a fashion store, November 2019) as log tables for the surface ``open_bandit``.

::

    <policy>/<campaign>/<campaign>.csv[.gz]    impressions, each with its propensity and click
    <policy>/<campaign>/item_context.csv       one row per item

Policies are ``random`` and ``bts`` (Bernoulli Thompson sampling), campaigns ``all``, ``men`` and ``women``.
The small public version has two campaigns of 10,000 rows, the full one three; any subset is accepted.

Two policies served at the same time, one of them uniformly random, and **every row contains the probability
with which its policy showed this item at this position**. An off-policy estimate from one policy's log can
therefore be compared with the observed result of the other policy.

**Each row is a separate request.** A page had three positions, but the data do not group rows by page;
``request_id`` is ``policy/campaign/row``. The data contain no users: ``user_id`` is the request's, so
intervals treat rows as independent. A click has no time; it is dated at its impression.

Items of two campaigns are different: ``all/14`` and ``men/14``. Their categories are hashed differently in
every file, but group the same items, so a category is named by the first item that has it.
"""

# ruff: noqa: S608 - statements contain only the names below; paths, types and values are parameters

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from tasks.datasets import publishing
from tasks.errors import DataError, unknown

POLICIES: Final = ("random", "bts")
CAMPAIGNS: Final = ("all", "men", "women")
USER_FEATURES: Final = tuple(f"user_feature_{n}" for n in range(4))
ITEM_FEATURES: Final = tuple(f"item_feature_{n}" for n in range(4))
CATEGORIES: Final = ITEM_FEATURES[1:]
"""String features of an item; the first feature is a number."""
_AFFINITY: Final = "user-item_affinity_"
_ITEMS: Final[Mapping[str, str]] = {
    "": "BIGINT",
    "item_id": "BIGINT",
    ITEM_FEATURES[0]: "DOUBLE",
    **dict.fromkeys(CATEGORIES, "VARCHAR"),
}
_ROWS: Final[Mapping[str, str]] = {
    "": "BIGINT",
    "timestamp": "TIMESTAMPTZ",
    **dict.fromkeys(("item_id", "position", "click"), "BIGINT"),
    "propensity_score": "DOUBLE",
    **dict.fromkeys(USER_FEATURES, "VARCHAR"),
}
_NAMED: Final = "$policy AS policy, $campaign AS campaign"
_READ: Final = "read_csv($path, columns = $columns, header = true, delim = ',', quote = '\"', nullstr = '')"
_SELECT_ITEMS: Final = f"SELECT {_NAMED}, * EXCLUDE (line) FROM {_READ}"

_SELECT_ROWS: Final = f"""
SELECT {_NAMED}, line, "timestamp" AS shown_at, item_id, "position", click, propensity_score AS propensity,
       {", ".join(USER_FEATURES)}, list_value({{}})[item_id + 1] AS affinity
FROM {_READ}
"""

_RULES: Final[Mapping[str, str]] = {
    "a column but the affinity is empty": " OR ".join(
        f"{name} IS NULL"
        for name in ("line", "shown_at", "item_id", '"position"', "click", "propensity", *USER_FEATURES)
    ),
    "position is not 1, 2 or 3": '"position" NOT IN (1, 2, 3)',
    "click is neither 0 nor 1": "click NOT IN (0, 1)",
    "propensity_score is not above 0 and at most 1": "NOT (propensity > 0 AND propensity <= 1)",
    "item_id is not in item_context.csv": "item_id NOT IN "
    "(SELECT item_id FROM items WHERE items.policy = $policy AND items.campaign = $campaign)",
    "the first column, a row's number, appears twice": "line IN (SELECT line FROM shown "
    "WHERE policy = $policy AND campaign = $campaign GROUP BY line HAVING count(*) > 1)",
}
_DAYS: Final = "SELECT DISTINCT shown_at::DATE AS day FROM shown ORDER BY day"
_ITEM: Final = "shown.campaign || '/' || shown.item_id"
_REQUEST: Final = "shown.policy || '/' || shown.campaign || '/' || line"
_KEY: Final = f"{_REQUEST} AS request_id, {_REQUEST} AS user_id, {_ITEM} AS item_id"

_EVENTS: Final = f"""
SELECT 'click' AS event, shown_at AS happened_at, {_KEY}
FROM shown WHERE click = 1 AND shown_at::DATE = $day
ORDER BY shown_at, request_id
"""

_COUNTS: Final = """
SELECT min(shown_at::DATE)::VARCHAR AS first_day, max(shown_at::DATE)::VARCHAR AS last_day,
       count(*) AS impressions, sum(click)::BIGINT AS clicks,
       count(DISTINCT (campaign, item_id)) AS items, count(DISTINCT (policy, campaign)) AS logs,
       min(propensity) AS least_propensity
FROM shown
"""


@dataclass(frozen=True)
class CampaignLog:
    """The two files of one policy and campaign."""

    policy: str
    campaign: str
    rows: Path
    items: Path


def find_logs(source: Path) -> list[CampaignLog]:
    """Find the logs in a folder.

    Raises
    ------
    DataError
        The folder contains no log, an incomplete log, or a log twice.
    """
    logs = [log for policy in POLICIES for campaign in CAMPAIGNS for log in _find(source, policy, campaign)]
    if not logs:
        raise DataError(
            f"{source} holds no log of Open Bandit. Name the folder that holds {' and '.join(POLICIES)}, "
            "each with all/all.csv[.gz] and all/item_context.csv (--source)."
        )
    return logs


def _find(source: Path, policy: str, campaign: str) -> Iterator[CampaignLog]:
    folder = source / policy / campaign
    rows = sorted(folder.glob(f"{campaign}.csv")) + sorted(folder.glob(f"{campaign}.csv.gz"))
    items = folder / "item_context.csv"
    if len(rows) > 1:
        raise DataError(f"{folder} holds {campaign}.csv twice, plain and gzipped. Keep one.")
    if rows:
        yield CampaignLog(policy, campaign, publishing.require_file(rows[0]), publishing.require_file(items))


def load_logs(session: duckdb.DuckDBPyConnection, logs: Sequence[CampaignLog]) -> None:
    """Create the tables ``shown`` and ``items`` of all logs, each row with its policy and campaign.

    Raises
    ------
    DataError
        A header does not match the data set, a value has another type than its column or breaks a rule, or an
        item is unknown or repeated.
    """
    for number, log in enumerate(logs):
        into = "INSERT INTO {} BY NAME" if number else "CREATE TABLE {} AS"
        _load(session, log, log.items, _ITEMS, f"{into.format('items')} {_SELECT_ITEMS}")
        key = [log.policy, log.campaign]
        count = session.execute("SELECT count(*) FROM items WHERE (policy, campaign) = ($1, $2)", key)
        affinities = [f"{_AFFINITY}{n}" for n in range(count.fetchall()[0][0])]
        columns = {**_ROWS, **dict.fromkeys(affinities, "DOUBLE")}
        listed = ", ".join(f'"{name}"' for name in affinities)
        _load(session, log, log.rows, columns, f"{into.format('shown')} {_SELECT_ROWS.format(listed)}")
        _check(session, log)


def _load(
    session: duckdb.DuckDBPyConnection,
    log: CampaignLog,
    path: Path,
    columns: Mapping[str, str],
    statement: str,
) -> None:
    _check_header(path, list(columns))
    typed = {name or "line": kind for name, kind in columns.items()}
    parameters = {"path": str(path), "columns": typed, "policy": log.policy, "campaign": log.campaign}
    try:
        session.execute(statement, parameters)
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _check_header(path: Path, columns: Sequence[str]) -> None:
    line = publishing.read_first_line(path)
    if not line.strip():
        raise DataError(f"{path} is empty. Its first line should be {','.join(columns)[:200]}")
    header = next(csv.reader([line]))
    for name in header:
        if name not in columns:
            raise DataError(unknown("column", name, columns[:12], where=str(path)))
    if lacking := [name for name in columns if name not in header]:
        raise DataError(f"{path} lacks column {', '.join(lacking[:12])}; its items have one affinity each.")
    if header != list(columns):
        raise DataError(f"{path} has its columns in another order than {','.join(columns)[:200]}.")


def _check(session: duckdb.DuckDBPyConnection, log: CampaignLog) -> None:
    own = {"policy": log.policy, "campaign": log.campaign}
    where = "policy = $policy AND campaign = $campaign"
    items = "SELECT count(*), count(DISTINCT item_id), min(item_id), max(item_id) FROM items"
    rows, distinct, least, most = session.execute(f"{items} WHERE {where}", own).fetchall()[0]
    if not rows or (distinct, least, most) != (rows, 0, rows - 1):
        raise DataError(f"{log.items}: its {rows} rows should be items 0 to {rows - 1}, one row each.")
    if not session.execute(f"SELECT count(*) FROM shown WHERE {where}", own).fetchall()[0][0]:
        raise DataError(f"{log.rows} holds no row below its header.")
    for rule, broken in _RULES.items():
        query = f"SELECT line, count(*) OVER () FROM shown WHERE {where} AND ({broken}) ORDER BY line LIMIT 3"
        if broken_rows := session.execute(query, own).fetchall():
            lines = ", ".join(str(line) for line, _ in broken_rows)
            raise DataError(f"{log.rows}: {rule} in {broken_rows[0][1]:,} rows, numbered {lines}.")


def _categories() -> str:
    """Return SQL that names each category by the first item of its campaign that has it."""
    return ", ".join(
        f"campaign || '/' || min(item_id) OVER (PARTITION BY policy, campaign, {name}) AS {name}"
        for name in CATEGORIES
    )


_IMPRESSIONS: Final = f"""
WITH described AS (SELECT policy, campaign, item_id, item_feature_0, {_categories()} FROM items)
SELECT {_KEY}, shown_at, "position", propensity, policy, shown.campaign, hour(shown_at)::INTEGER AS hour,
       {", ".join(USER_FEATURES)}, item_feature_0, {", ".join(CATEGORIES)}, affinity
FROM shown JOIN described USING (policy, campaign, item_id)
WHERE shown_at::DATE = $day
ORDER BY shown_at, request_id
"""


@dataclass(frozen=True)
class OpenBanditResult:
    """The result of an import; ``logs`` counts policies' campaigns, ``reused`` if all output existed."""

    first_day: str
    last_day: str
    impressions: int
    clicks: int
    items: int
    logs: int
    least_propensity: float
    reused: bool = False


def import_open_bandit(*, source: Path, out: Path, threads: int = 2, memory: str = "4GB") -> OpenBanditResult:
    """Write ``out/impressions/<day>.parquet`` and ``out/events/<day>.parquet``, one file per day.

    Equal input gives equal bytes; complete output of an equal import is reused.

    Parameters
    ----------
    source : the folder that contains ``random`` and ``bts``.
    out : folder of the surface's log tables.
    threads, memory : DuckDB's limits.

    Raises
    ------
    DataError
        There is no log, a file does not have the data set's layout, or a row breaks one of its rules.
    """
    logs = find_logs(source)
    files = [file for log in logs for file in (log.rows, log.items)]
    named = ",".join(f"{log.policy}/{log.campaign}" for log in logs)
    recipe = publishing.make_recipe(f"{duckdb.__version__} {named}", [Path(__file__), *files])
    if (done := publishing.find_finished(out, recipe)) is not None:
        return OpenBanditResult(**done)
    work = publishing.begin(out)
    with publishing.connect(work, threads=threads, memory=memory) as session:
        load_logs(session, logs)
        days = [day for (day,) in session.execute(_DAYS).fetchall()]
        by_day: dict[str, dict[str, Any]] = {day.isoformat(): {"day": day} for day in days}
        publishing.write_files(session, _IMPRESSIONS, work / "impressions", by_day)
        publishing.write_files(session, _EVENTS, work / "events", by_day)
        result = OpenBanditResult(**publishing.count(session, (_COUNTS, None)))
    publishing.publish(work, out, recipe, result)
    return result
