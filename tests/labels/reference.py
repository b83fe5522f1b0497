"""Labels by brute force: contracts.md's "Exact meaning", sentence by sentence, in plain Python.

Rows are dicts, a missing value is None, instants are datetimes. Nothing here is shared with the compiler.
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tasks.contracts import TasksSpec

Row = dict[str, Any]
Key = tuple[Any, Any]


class Label(NamedTuple):
    value: float | None
    status: str
    at: datetime | None


def low(value: Any) -> tuple[bool, Any]:
    """Order a null before anything."""
    return (value is not None, 0 if value is None else value)


def kept(impressions: Iterable[Row], as_of: datetime) -> dict[Key, Row]:
    """An impression takes part when shown before the as-of; of one key the earliest stays."""
    found: dict[Key, Row] = {}
    for row in impressions:
        key = (row["request_id"], row["item_id"])
        if None in key or row["shown_at"] is None or row["shown_at"] >= as_of:
            continue
        if key not in found or _earlier(row) < _earlier(found[key]):
            found[key] = row
    return found


def _earlier(row: Row) -> tuple[Any, ...]:
    rest = [n for n in row if n not in {"request_id", "item_id", "shown_at", "position"}]
    return (row["shown_at"], low(row["position"]), *(low(row[n]) for n in rest))


def known(events: Iterable[Row], as_of: datetime) -> list[Row]:
    """An event is known when it happened, and arrived where that is logged, before the as-of."""
    return [
        e
        for e in events
        if e["event"] is not None
        and e["happened_at"] is not None
        and e["happened_at"] < as_of
        and (e["ingested_at"] is None or e["ingested_at"] < as_of)
    ]


def arrived(
    impressions: Iterable[Row], events: Iterable[Row], as_of: datetime, within: timedelta
) -> datetime:
    """The as-of where the newest known row of the log lies less than ``within`` before it, else its time."""
    shown = [r["shown_at"] for r in impressions if r["shown_at"] is not None and r["shown_at"] < as_of]
    newest = max([*shown, *(e["happened_at"] for e in known(events, as_of))])
    return as_of if as_of - newest < within else newest


class Reference:
    """The labels of every impression that takes part in a build."""

    def __init__(
        self,
        spec: TasksSpec,
        impressions: Iterable[Row],
        events: Iterable[Row],
        as_of: datetime,
        *,
        arrived: datetime | None = None,
    ) -> None:
        self.spec, self.arrived = spec, arrived or as_of
        self.rows = kept(impressions, as_of)
        self.events = known(events, as_of)
        self._at: dict[tuple[str, Key], datetime | None] = {}

    def labels(self) -> dict[Key, dict[str, Label]]:
        return {key: {task: self.label(task, key) for task in self.spec.tasks} for key in self.rows}

    # -- window, match, credit

    def window(self, task: str, key: Key) -> tuple[datetime, datetime, bool] | None:
        """Return where the window opens and closes, and whether its first instant is inside."""
        rule = self.spec.tasks[task].rule
        assert rule is not None
        opens = self.crediting(rule.after, key) if rule.after else self.rows[key]["shown_at"]
        if opens is None:
            return None
        closes = self.rows[key][rule.until] if rule.until else opens + rule.within
        if closes is None or not opens < closes <= opens + rule.within:
            return None
        return opens, closes, rule.after is None

    def holds(self, task: str, key: Key, event: Row, match: tuple[str, ...]) -> bool:
        row, window = self.rows[key], self.window(task, key)
        if window is None or any(row[m] is None or row[m] != event[m] for m in match):
            return False
        opens, closes, closed_left = window
        return (opens <= event["happened_at"] if closed_left else opens < event["happened_at"]) and (
            event["happened_at"] < closes
        )

    def credits(self, task: str, key: Key, event: Row) -> bool:
        rule = self.spec.tasks[task].rule
        assert rule is not None
        if not self.holds(task, key, event, rule.match):
            return False
        if rule.credit == "every":
            return True
        rivals = [k for k in self.rows if self.holds(task, k, event, rule.match)]
        best = max if rule.credit == "last_touch" else min
        return key == best(
            rivals, key=lambda k: (self.rows[k]["shown_at"], low(self.rows[k]["position"]), *k)
        )

    def credited(self, task: str, key: Key, names: tuple[str, ...]) -> list[Row]:
        return [e for e in self.events if e["event"] in names and self.credits(task, key, e)]

    def crediting(self, task: str, key: Key) -> datetime | None:
        """Return the instant of the crediting event, whatever the status."""
        if (task, key) not in self._at:
            rule = self.spec.tasks[task].positive
            assert rule is not None
            events = self.credited(task, key, rule.event)
            if rule.value_at_least is not None:
                bound = rule.value_at_least
                events = [e for e in events if number(e["value"]) is not None and e["value"] >= bound]
            if rule.value_below is not None:
                below = rule.value_below
                events = [e for e in events if number(e["value"]) is not None and e["value"] < below]
            times = sorted(e["happened_at"] for e in events)
            self._at[task, key] = times[rule.at_least - 1] if len(times) >= rule.at_least else None
        return self._at[task, key]

    def amount(self, task: str, key: Key) -> float | None:
        rule = self.spec.tasks[task].value
        assert rule is not None
        events = self.credited(task, key, rule.event)
        values = [(e["happened_at"], number(e["value"])) for e in events]
        numbers = [(at, v) for at, v in values if v is not None]
        match rule.aggregate:
            case "count":
                return float(len(events))
            case "sum":
                total = 0.0
                for value in sorted(v for _, v in numbers):
                    total += value
                return total
            case "max":
                return max((v for _, v in numbers), default=None)
            case "first":
                return min(numbers, default=(None, None))[1]

    # -- status and value

    def conditions(self, task: str) -> str | None:
        contract = self.spec.tasks[task]
        if contract.rule and contract.rule.after:
            return contract.rule.after
        return contract.observed_when.task if contract.observed_when else None

    def immature(self, task: str, key: Key) -> bool:
        contract = self.spec.tasks[task]
        others = [*self.spec.parts(task), *filter(None, [self.conditions(task)])]
        own = contract.rule is not None and self.known_at(task, key) > self.arrived
        return own or any(self.immature(other, key) for other in others)

    def known_at(self, task: str, key: Key) -> datetime:
        """A label is known at its maturity, or as long after its own deadline as else after its window."""
        contract, least, row = self.spec.tasks[task], self.least_maturity(task), self.rows[key]
        maturity = contract.maturity or least
        due = row[contract.rule.until] if contract.rule and contract.rule.until else None
        at: datetime = row["shown_at"] + maturity
        return at if due is None else min(at, due + maturity - least)

    def least_maturity(self, task: str) -> timedelta:
        rule = self.spec.tasks[task].rule
        assert rule is not None
        return rule.within + (self.least_maturity(rule.after) if rule.after else timedelta())

    def not_applicable(self, task: str, key: Key) -> bool:
        contract, row = self.spec.tasks[task], self.rows[key]
        if contract.compose:
            return any(self.known_value(part, key) is None for part in contract.compose.parts)
        assert contract.rule is not None
        when = contract.observed_when
        parent = self.conditions(task)
        return (
            any(row[m] is None for m in contract.rule.match)
            or bool(contract.rule.until and self.window(task, key) is None)
            or bool(when and when.column and row[when.column] is not True)
            or bool(when and when.event and not self.credited(task, key, when.event))
            or bool(parent and self.label(parent, key)[:2] != (1, "observed"))
            or bool(
                contract.value
                and contract.value.aggregate in {"first", "max"}
                and self.amount(task, key) is None
            )
        )

    def excluded(self, task: str, key: Key) -> bool:
        contract = self.spec.tasks[task]
        for rule in contract.exclude:
            for event in self.events:
                if event["event"] not in rule.event or not self.holds(task, key, event, rule.on):
                    continue
                own = self.crediting(task, key) if contract.positive else None
                if not rule.before_positive or own is None or event["happened_at"] < own:
                    return True
        return False

    def known_value(self, task: str, key: Key) -> float | None:
        """A part is known when observed, or when it depends on a parent that is known to be 0."""
        value, status, _ = self.label(task, key)
        if status == "observed":
            return value
        parent = self.conditions(task)
        return 0 if parent and self.known_value(parent, key) == 0 else None

    def label(self, task: str, key: Key) -> Label:
        if self.immature(task, key):
            return Label(None, "immature", None)
        if self.not_applicable(task, key):
            return Label(None, "not_applicable", None)
        if self.excluded(task, key):
            return Label(None, "excluded", None)
        contract = self.spec.tasks[task]
        if contract.compose:
            know = {part: self.known_value(part, key) for part in contract.compose.parts}
            parts = contract.compose
            positive = (
                all(know[p] == 1 for p in parts.all_of)
                and (not parts.any_of or any(know[p] == 1 for p in parts.any_of))
                and all(know[p] == 0 for p in parts.none_of)
            )
            return Label(int(positive), "observed", None)
        if contract.positive:
            at = self.crediting(task, key)
            return Label(int(at is not None), "observed", at)
        assert contract.value is not None
        value = self.amount(task, key) or 0.0
        if contract.value.clip:
            value = min(max(value, contract.value.clip[0]), contract.value.clip[1])
        return Label(value, "observed", None)


def number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
