"""Sketch of a log for a first draft of contracts, and the mapping of its columns to standard names.

::

    names of columns, with synonyms     {"shown_at": "ts", "item_id": "article_id"}      find_columns
    facts of columns and events         LogSketch                                        tasks/logs/sketch.py
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from tasks import columns as c
from tasks.errors import ContractError, DataError, unknown

_CLOCK: Final = r"timestamp|ts|time|datetime|at"
_SYNONYMS: Final[Mapping[str, str]] = {
    c.REQUEST_ID: r"req_?id|(request|session|slate|page|page_?view|query|search|list|visit)(_?id)?",
    c.USER_ID: r"uid|(user|visitor|customer|household|member|account|reader|client)(_?(id|key))?",
    c.ITEM_ID: (
        r"iid|(item|product|article|video|doc|document|content|listing|post|news|sku|movie|song)(_?(id|key))?"
    ),
    c.SHOWN_AT: (
        rf"(served|displayed|viewed)_at|(impression|shown|serve|event)_?(time|ts|timestamp)|{_CLOCK}"
    ),
    c.POSITION: r"pos|rank|slot|place|display_position|item_position",
    c.PROPENSITY: r"logging_propensity|propensity_score",
    c.VISIBLE: r"is_visible|was_visible|viewable|rendered",
    c.EVENT: r"event_?(name|type)|action|action_?type|type|kind|interaction",
    c.HAPPENED_AT: rf"(event|action|click|interaction)_?(time|ts|timestamp)|(occurr|creat)ed_at|{_CLOCK}",
    c.VALUE: r"amount|event_value|quantity",
    c.INGESTED_AT: r"received_at|arrived_at|loaded_at|ingestion_time",
    c.SHOWN: r"(is_|was_)?(shown|displayed|served|impressed|exposed)",
}
_IMPRESSION: Final = re.compile(r"(imp|impression|exposure|view|display)_?(id|key|uuid)", re.IGNORECASE)
"""A column that identifies an impression in both the impressions and the events."""
NEEDED: Final = {
    "impressions": (c.REQUEST_ID, c.USER_ID, c.ITEM_ID, c.SHOWN_AT),
    "events": (c.EVENT, c.HAPPENED_AT, c.USER_ID, c.ITEM_ID),
    "candidates": (c.SHOWN,),
}
_OPTIONAL: Final = {
    "impressions": (c.POSITION, c.PROPENSITY, c.VISIBLE),
    "events": (c.REQUEST_ID, c.VALUE, c.INGESTED_AT),
    "candidates": (),
}
_TIMES: Final = {"impressions": c.SHOWN_AT, "events": c.HAPPENED_AT}


@dataclass(frozen=True)
class ColumnSketch:
    """A column of the impressions: kind of values (``tasks.logs.footers``), approximate distinct count."""

    name: str
    kind: str
    distinct: int


@dataclass(frozen=True)
class EventSketch:
    """Events of one name: number of rows, and shares with an item, a request and an impression.

    ``delay``: 90 % quantile of the days since the impression; 0 if no event could be joined.
    """

    name: str
    rows: int
    with_item: float = 1.0
    with_request: float = 0.0
    with_impression: float = 0.0
    delay: float = 0.0


@dataclass(frozen=True)
class LogSketch:
    """The facts about a log that a first draft is made from.

    Attributes
    ----------
    sources : path of each table below the logs folder.
    columns : the log's column by standard name, where they differ.
    described : columns of the impressions that have no standard name.
    days : number of UTC days with impressions.
    last : last of these days.
    rows : number of impressions.
    positions : greatest position, 0 if none is logged.
    has_visible : whether a boolean column records that an impression was on the screen.
    impression : column by which events refer to an impression, empty if there is none.
    """

    sources: Mapping[str, str]
    columns: Mapping[str, str]
    described: tuple[ColumnSketch, ...]
    events: tuple[EventSketch, ...]
    days: int
    last: date
    rows: int
    positions: int = 0
    has_visible: bool = False
    impression: str = ""


def find_impression(tables: Mapping[str, Iterable[str]]) -> str:
    """Return the column of both tables that identifies an impression, or an empty string.

    Examples
    --------
    >>> find_impression({"impressions": ["view_id", "ts"], "events": ["action", "view_id"]})
    'view_id'
    """
    shared = set.intersection(*(set(tables[table]) for table in ("impressions", "events")))
    return next((name for name in sorted(shared) if _IMPRESSION.fullmatch(name)), "")


def find_columns(
    tables: Mapping[str, Mapping[str, str | None]], given: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Match a log's columns to standard names, by name.

    A table of candidates needs the impressions' column names and a column that marks the shown candidates.

    Returns
    -------
    By table, the log's column by standard name.

    Examples
    --------
    >>> times = {"ts": "time with zone", "article_id": "string", "uid": "string"}
    >>> tables = {"impressions": {**times, "request_id": "string"}, "events": {**times, "action": "string"}}
    >>> find_columns(tables, {})["events"]
    {'event': 'action', 'happened_at': 'ts', 'user_id': 'uid', 'item_id': 'article_id'}
    """
    for name_here in set(given) - set(_SYNONYMS):
        raise ContractError(unknown("column of ours", name_here, _SYNONYMS, where="--column"))
    found = {table: _of_table(table, columns, given) for table, columns in tables.items()}
    named = {c.USER_ID, c.ITEM_ID} if find_impression(tables) else set()
    spared = {"events": named}
    missing = {
        table: [
            name_here
            for name_here in NEEDED[table]
            if name_here not in {*found[table], *spared.get(table, ())}
        ]
        for table in tables
    }
    if any(missing.values()):
        raise DataError(_say_missing(missing, tables, found))
    for name_here in found["impressions"].keys() & found["events"].keys():
        first, second = (found[table][name_here] for table in ("impressions", "events"))
        if first != second and name_here not in (first, second):
            raise DataError(
                f"{name_here} is called '{first}' in impressions and '{second}' in events: surface.yaml maps "
                "one name to ours, so rename one of them"
            )
    return found


def _of_table(table: str, columns: Mapping[str, str | None], given: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name_here in (*NEEDED[table], *_OPTIONAL[table]):
        name_in_log = _find(name_here, columns, given, taken=found.values())
        if name_in_log is None and name_here == _TIMES.get(table):
            times = [name for name, kind in columns.items() if kind is not None and kind.startswith("time ")]
            name_in_log = times[0] if len(times) == 1 else None
        if name_in_log is not None:
            found[name_here] = name_in_log
    return found


def _say_missing(
    missing: Mapping[str, Sequence[str]],
    tables: Mapping[str, Iterable[str]],
    found: Mapping[str, Mapping[str, str]],
) -> str:
    """Describe which columns were not recognised, how to declare them, and which a join by request adds."""
    each = " ".join(
        f"No column of {table} was recognised as {', '.join(name_here)}. It has: {', '.join(tables[table])}."
        for table, name_here in missing.items()
        if name_here
    )
    named = dict.fromkeys(name_here for of in missing.values() for name_here in of)
    said = f"{each} Name them: {' '.join(f'--column {name_here}=NAME' for name_here in named)}"
    impressions, events = found["impressions"], found["events"]
    absent = [impressions[name_here] for name_here in missing["events"] if name_here in impressions]
    if not absent:
        return said
    by = f"from the impressions by {events['request_id']}, " if "request_id" in events else ""
    return (
        f"{said}. If events do not hold {', '.join(absent)}, add it {by}or give the column that names an "
        "impression one name in both tables, such as impression_id."
    )


def _find(
    name_here: str, columns: Mapping[str, str | None], given: Mapping[str, str], *, taken: Collection[str]
) -> str | None:
    if name_here in given and given[name_here] in columns:
        return given[name_here]
    filled = [name for name, kind in columns.items() if kind is not None and name not in taken]
    if name_here in filled:
        return name_here
    pattern = re.compile(_SYNONYMS[name_here], re.IGNORECASE)
    return next((name for name in filled if pattern.fullmatch(name)), None)
