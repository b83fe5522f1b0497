"""The Open Bandit Dataset (a fashion store, November 2019) as log tables for the surface ``open_bandit``.

Two policies served side by side, one of them uniformly random, and **every row has the probability with which
its policy showed this item at this position**. It is what off-policy estimates can be checked on: what one
policy's log says of the other is compared with what the other did.

**A row is a request of its own.** A page had three positions, but the data do not say which rows were one
page; ``request_id`` is ``policy/campaign/row``. Nor do they name users: ``user_id`` is the request's, so
intervals take rows as independent. A click has no time; it is dated at its impression.

Items of two campaigns are different ones, ``all/14`` and ``men/14``. Their categories are hashed anew in
every file, but the same items share them: a category is named by the first item that has it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from tasks.datasets import csv_files, open_bandit_files, tables
from tasks.datasets.open_bandit_files import CATEGORIES, USER_FEATURES, Log, find_logs, load_logs
from tasks.datasets.publishing import begin, find_finished, make_recipe, publish

_DAYS: Final = "SELECT DISTINCT shown_at::DATE AS day FROM shown ORDER BY day"
_ITEM: Final = "shown.campaign || '/' || shown.item_id"
_REQUEST: Final = "shown.policy || '/' || shown.campaign || '/' || line"
_KEY: Final = f"{_REQUEST} AS request_id, {_REQUEST} AS user_id, {_ITEM} AS item_id"


def _categories() -> str:
    """Name each category by the first item of its campaign that has it."""
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
"""  # noqa: S608 - made of this module's own names
_EVENTS: Final = f"""
SELECT 'click' AS event, shown_at AS happened_at, {_KEY}
FROM shown WHERE click = 1 AND shown_at::DATE = $day
ORDER BY shown_at, request_id
"""  # noqa: S608 - made of this module's own names
_COUNTS: Final = """
SELECT min(shown_at::DATE)::VARCHAR AS first_day, max(shown_at::DATE)::VARCHAR AS last_day,
       count(*) AS impressions, sum(click)::BIGINT AS clicks,
       count(DISTINCT (campaign, item_id)) AS items, count(DISTINCT (policy, campaign)) AS logs,
       min(propensity) AS least_propensity
FROM shown
"""


@dataclass(frozen=True)
class OpenBanditResult:
    """What an import wrote; ``logs`` counts policies' campaigns, ``reused`` says that all was there."""

    first_day: str
    last_day: str
    impressions: int
    clicks: int
    items: int
    logs: int
    least_propensity: float
    reused: bool = False


def import_open_bandit(*, source: Path, out: Path, threads: int = 2, memory: str = "4GB") -> OpenBanditResult:
    """Write ``out/impressions/<day>.parquet`` and ``out/events/<day>.parquet``, a file each for every day.

    Equal input gives equal bytes; what an equal import left whole is reused.

    Parameters
    ----------
    source : the folder that holds ``random`` and ``bts``.
    out : folder of the surface's log tables.
    threads, memory : DuckDB's limits.

    Raises
    ------
    DataError
        There is no log, a file is not of the data set's layout, or a row breaks one of its rules.
    """
    logs = find_logs(source)
    recipe = _recipe(logs)
    if (done := find_finished(out, recipe)) is not None:
        return OpenBanditResult(**done)
    work = begin(out)
    with tables.connect(work, threads=threads, memory=memory) as session:
        load_logs(session, logs)
        days = [day for (day,) in session.execute(_DAYS).fetchall()]
        by_day: dict[str, dict[str, Any]] = {day.isoformat(): {"day": day} for day in days}
        tables.write_files(session, _IMPRESSIONS, work / "impressions", by_day)
        tables.write_files(session, _EVENTS, work / "events", by_day)
        result = OpenBanditResult(**tables.count(session, (_COUNTS, None)))
    publish(work, out, recipe, result)
    return result


def _recipe(logs: list[Log]) -> str:
    modules = (Path(str(m.__file__)) for m in (csv_files, open_bandit_files, tables))
    files = [file for log in logs for file in (log.rows, log.items)]
    named = ",".join(f"{log.policy}/{log.campaign}" for log in logs)
    return make_recipe(f"{duckdb.__version__} {named}", [Path(__file__), *modules, *files])
