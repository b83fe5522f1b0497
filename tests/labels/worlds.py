"""Random contracts and random tiny logs for the laws: instants on a coarse grid, so that edges are hit exactly."""

import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tasks.contracts import SurfaceSpec, TasksSpec
from tests.labels.reference import Row

START = datetime(2024, 3, 1, 22, tzinfo=UTC)
EVENTS = ("a", "b", "c")
HOURS = 7

IMPRESSION_TYPES = pa.schema(
    [
        ("request_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.int64()),
        ("shown_at", pa.timestamp("us", "UTC")),
        ("position", pa.int32()),
        ("visible", pa.bool_()),
        ("kind", pa.string()),
        ("due", pa.timestamp("us", "UTC")),
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

as_ofs = st.integers(1, 2 * HOURS).map(lambda h: START + timedelta(hours=h))
_durations = st.sampled_from([1, 2, 3, 5]).map(lambda h: f"PT{h}H")
_columns = st.lists(
    st.sampled_from(["user_id", "item_id", "kind", "request_id"]), min_size=1, max_size=2, unique=True
)
_names = st.lists(st.sampled_from(EVENTS), min_size=1, max_size=2, unique=True)


class Dice:
    """Draws rows from a seed: denser than hypothesis would, since an event must meet a window to matter."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - test data

    def one(self, *values: Any, null: float = 0.0) -> Any:
        return None if self._random.random() < null else self._random.choice(values)

    def instant(self, null: float = 0.0, last: int = HOURS) -> datetime | None:
        hours = self.one(*range(last + 1), null=null)
        beside = self.one(*[0] * 8, -1, 1)
        return None if hours is None else START + timedelta(hours=hours, microseconds=beside)

    def with_copies(self, rows: list[Row]) -> list[Row]:
        """Let some rows come twice."""
        return rows + [row for row in rows if self.one(*[False] * 9, True)]

    def impression(self, request: int) -> Row:
        return {
            "request_id": self.one(f"r{request}", f"r{request}", "r0", null=0.03),
            "user_id": self.one("u", "ü", null=0.05),
            "item_id": self.one(1, 2, null=0.03),
            "shown_at": self.instant(null=0.03),
            "position": self.one(1, 2, null=0.3),
            "visible": self.one(True, True, True, False, null=0.1),
            "kind": self.one("x", "y", null=0.1),
            "due": self.instant(null=0.1, last=HOURS + 2),
        }

    def event(self, request: int) -> Row:
        return {
            "event": self.one(*EVENTS, *EVENTS, *EVENTS, "unheard", null=0.03),
            "happened_at": self.instant(null=0.03),
            "user_id": self.one("u", "ü", null=0.05),
            "item_id": self.one(1, 1, 1, 2, 2, 2, 9, null=0.05),
            "request_id": self.one(f"r{request}", null=0.2),
            "kind": self.one("x", "y", null=0.1),
            "value": self.one(0.1, 0.2, 0.3, 1.0, -1.0, 7.0, math.nan, null=0.1),
            "ingested_at": self.instant(null=0.4, last=2 * HOURS),
        }


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Draw some 20 impressions and 30 events of two users and two items within seven hours."""
    dice = Dice(draw(st.integers(0, 2**32)))
    impressions = [dice.impression(n // 2) for n in range(draw(st.integers(1, 20)))]
    events = [dice.event(n % 8) for n in range(draw(st.integers(0, 30)))]
    return dice.with_copies(impressions), dice.with_copies(events)


@st.composite
def _rule(draw: st.DrawFn, earlier: list[str]) -> dict[str, Any]:
    rule: dict[str, Any] = {"event": draw(_names), "within": draw(_durations)}
    if draw(st.booleans()):
        rule["match"] = draw(_columns)
    if draw(st.integers(0, 2)) == 0:
        rule["until"] = "due"
    rule["credit"] = draw(st.sampled_from(["every", "last_touch", "first_touch"]))
    if bool(earlier) and draw(st.booleans()):
        rule["after"] = draw(st.sampled_from(earlier))
    return rule


@st.composite
def _task(draw: st.DrawFn, positives: list[str], binaries: list[str]) -> dict[str, Any]:
    task: dict[str, Any] = {"family": "engagement"}
    what = draw(st.sampled_from(["positive", "positive", "positive", "value", "compose", "compose"]))
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
        enough = [{}, {}, {"at_least": 2}, {"value_at_least": 0.2}, {"at_least": 3, "value_at_least": 0.2}]
        enough += [{"value_below": 0.3}, {"value_at_least": 0.1, "value_below": 1.0}]
        rule |= draw(st.sampled_from(enough))
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
    """Draw two to six tasks, each after, observed by or composed of earlier ones."""
    tasks: dict[str, dict[str, Any]] = {}
    for n in range(draw(st.integers(2, 6))):
        positives = [t for t, s in tasks.items() if "positive" in s]
        binaries = [t for t, s in tasks.items() if "value" not in s]
        tasks[f"t{n}"] = draw(_task(positives, binaries))
    spec = TasksSpec.model_validate({"contract": "random", "version": 1, "tasks": tasks})
    for name, task in tasks.items():
        if "compose" not in task and draw(st.booleans()):
            late = spec.window(name) + timedelta(hours=draw(st.integers(0, 3)))
            task["maturity"] = f"PT{int(late.total_seconds()) // 3600}H"
    return TasksSpec.model_validate({"contract": "random", "version": 1, "tasks": tasks})


def at_hour(hour: float | None) -> datetime | None:
    """Return the instant some hours after the start."""
    return None if hour is None else START + timedelta(hours=hour)


def impression_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=IMPRESSION_TYPES)


def event_table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=EVENT_TYPES)


def surface(**changed: Any) -> SurfaceSpec:
    """Return a surface's contract."""
    content: dict[str, Any] = {
        "surface": "random",
        "version": 1,
        "owner": "tests",
        "sources": {"impressions": "impressions.parquet", "events": "events.parquet"},
        "features": {"categorical": ["kind"]},
        "split": {"train": "P7D", "calibrate": "P1D", "test": "P1D"},
    }
    return SurfaceSpec.model_validate(content | changed)
