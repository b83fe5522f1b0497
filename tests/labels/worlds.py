"""Random contracts and random tiny logs for the laws: instants on a coarse grid, so that edges are hit exactly."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tasks.contracts import TasksSpec
from tests.labels.reference import Row

START = datetime(2024, 3, 1, 22, tzinfo=UTC)
EVENTS = ("a", "b", "c")
HOURS = 12

IMPRESSION_TYPES = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.int64()),
        ("shown_at", pa.timestamp("us", "UTC")),
        ("position", pa.int32()),
        ("visible", pa.bool_()),
        ("kind", pa.string()),
    ]
)
EVENT_TYPES = pa.schema(
    [
        ("event", pa.string()),
        ("happened_at", pa.timestamp("us", "UTC")),
        ("user_id", pa.string()),
        ("item_id", pa.int64()),
        ("request_id", pa.string()),
        ("kind", pa.string()),
        ("value", pa.float64()),
        ("ingested_at", pa.timestamp("us", "UTC")),
    ]
)

_instants = st.integers(0, HOURS).map(lambda h: START + timedelta(hours=h))
as_ofs = st.integers(1, 2 * HOURS).map(lambda h: START + timedelta(hours=h))
_users = st.sampled_from(["u", "u", "U", "ü", None])
_items = st.sampled_from([1, 1, 2])
_kinds = st.sampled_from(["x", "y", None])
_durations = st.sampled_from([1, 2, 3, 5]).map(lambda h: f"PT{h}H")
_columns = st.lists(
    st.sampled_from(["user_id", "item_id", "kind", "request_id"]), min_size=1, max_size=2, unique=True
)
_names = st.lists(st.sampled_from(EVENTS), min_size=1, max_size=2, unique=True)

impressions: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {
        "request_id": st.sampled_from(["r", "r", "s", "t", None]),
        "user_id": _users,
        "item_id": st.sampled_from([1, 1, 2, None]),
        "shown_at": st.one_of(_instants, _instants, _instants, st.none()),
        "position": st.sampled_from([1, 2, None]),
        "visible": st.sampled_from([True, True, False, None]),
        "kind": _kinds,
    }
)
events: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {
        "event": st.sampled_from([*EVENTS, *EVENTS, "unheard", None]),
        "happened_at": st.one_of(_instants, _instants, _instants, st.none()),
        "user_id": _users,
        "item_id": st.sampled_from([1, 1, 2, 9, None]),
        "request_id": st.sampled_from(["r", "s", None]),
        "kind": _kinds,
        "value": st.sampled_from([0.1, 0.2, 0.3, 1.0, -1.0, 7.0, None, math.nan]),
        "ingested_at": st.one_of(st.none(), st.none(), _instants),
    }
)
impression_tables = st.lists(impressions, min_size=0, max_size=9)
event_tables = st.lists(events, min_size=0, max_size=10)


@st.composite
def _rule(draw: st.DrawFn, earlier: list[str]) -> dict[str, Any]:
    rule: dict[str, Any] = {"event": draw(_names), "within": draw(_durations)}
    if draw(st.booleans()):
        rule["match"] = draw(_columns)
    rule["credit"] = draw(st.sampled_from(["every", "last_touch", "first_touch"]))
    if earlier and draw(st.booleans()):
        rule["after"] = draw(st.sampled_from(earlier))
    return rule


@st.composite
def _task(draw: st.DrawFn, positives: list[str], binaries: list[str]) -> dict[str, Any]:
    task: dict[str, Any] = {"family": "engagement"}
    what = draw(st.sampled_from(["positive", "positive", "positive", "value", "compose"]))
    if what == "compose" and binaries:
        parts = draw(st.lists(st.sampled_from(binaries), min_size=1, max_size=3, unique=True))
        where = [draw(st.sampled_from(["all_of", "any_of", "none_of"])) for _ in parts]
        task["compose"] = {w: [p for p, v in zip(parts, where, strict=True) if v == w] for w in where}
        return task
    rule = draw(_rule(positives))
    if what == "value":
        task |= {"kind": "value", "value": rule}
        rule["aggregate"] = draw(st.sampled_from(["sum", "count", "max", "first"]))
        rule |= draw(st.sampled_from([{}, {"clip": [0.15, 2.0]}]))
    else:
        task["positive"] = rule
        rule |= draw(st.sampled_from([{}, {}, {"at_least": 2}, {"value_at_least": 0.2}]))
    if "after" not in rule:
        choices: list[dict[str, Any]] = [{}, {}, {"column": "visible"}, {"event": draw(_names)}]
        choices += [{"task": draw(st.sampled_from(binaries))}] if binaries else []
        task |= {"observed_when": w} if (w := draw(st.sampled_from(choices))) else {}
    if draw(st.booleans()):
        on = st.one_of(st.sampled_from(["item", "user"]), _columns)
        out = st.fixed_dictionaries({"event": _names, "on": on, "before_positive": st.booleans()})
        task["exclude"] = draw(st.lists(out, min_size=1, max_size=2))
    return task


@st.composite
def contracts(draw: st.DrawFn) -> TasksSpec:
    """Draw up to five tasks, each after, observed by or composed of earlier ones."""
    tasks: dict[str, dict[str, Any]] = {}
    for n in range(draw(st.integers(1, 5))):
        positives = [t for t, s in tasks.items() if "positive" in s]
        binaries = [t for t, s in tasks.items() if "value" not in s]
        tasks[f"t{n}"] = draw(_task(positives, binaries))
    spec = TasksSpec.model_validate({"contract": "random", "version": 1, "tasks": tasks})
    for name, task in tasks.items():
        if "compose" not in task and draw(st.booleans()):
            late = spec.window(name) + timedelta(hours=draw(st.integers(0, 3)))
            task["maturity"] = f"PT{int(late.total_seconds()) // 3600}H"
    return TasksSpec.model_validate({"contract": "random", "version": 1, "tasks": tasks})


def impression_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=IMPRESSION_TYPES)


def event_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=EVENT_TYPES)
