"""From the facts of a row to the explained of each task, by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tasks.contracts import TasksSpec
from tasks.labels.explanation import (
    Event,
    Events,
    Facts,
    Impression,
    LabelValue,
    explain_tasks,
    list_changed_tasks,
)
from tasks.labels.status import Why
from tests.labels.engine import tasks

SHOWN = datetime(2026, 3, 2, 10, tzinfo=UTC)
BUY = {"positive": {"event": "buy", "within": "P7D", "credit": "last_touch"}, "maturity": "P8D"}
OUT = {"event": "stock_out", "on": "item"}
ELSEWHERE = Impression("s", 1, SHOWN + timedelta(hours=1))


def after(hours: float) -> datetime:
    return SHOWN + timedelta(hours=hours)


def facts(spec: TasksSpec, row: dict[str, Any], label: LabelValue, **found: Any) -> Facts:
    """Return the facts of a contract's one task ``t`` or of all tasks."""
    filled = {
        "shown_at": SHOWN,
        **dict.fromkeys(f"{t}__{f}" for t in spec.tasks for f in ("credit", "known")),
        **row,
    }
    each = dict.fromkeys(spec.tasks)
    given = {"causes": {}, "events": {}, "exclusions": {}, **found}
    return Facts(
        filled,
        dict.fromkeys(each, label),
        {task: given["causes"].get(task, ()) for task in each},
        {task: given["events"].get(task, Events()) for task in each},
        {task: given["exclusions"].get(task, ()) for task in each},
    )


def test_the_crediting_event_counts_is_its_own_and_lies_at_the_instant() -> None:
    spec, at = tasks(t=BUY), after(5)
    others = [Event("buy", at, credited_to=ELSEWHERE), Event("buy", at, counts=False), Event("buy", after(6))]
    own = Event("buy", at, value=3.0)
    row, label = {"t__credit": at}, LabelValue(1, "observed", at)
    (explained,) = explain_tasks(
        spec, facts(spec, row, label, events={"t": Events((*others, own), 4, 2)})
    ).values()
    assert explained.crediting == own
    assert explained.elsewhere == (others[0],)
    assert (explained.opens, explained.closes) == (SHOWN, SHOWN + timedelta(days=7))
    assert explained.matures_at == SHOWN + timedelta(days=8)


def test_a_child_without_its_parents_event_has_no_window() -> None:
    spec = tasks(buy=BUY, t={"positive": {"event": "back", "within": "P30D", "after": "buy"}})
    cause = [("not_applicable", Why.PARENT, "buy")]
    explained = explain_tasks(
        spec, facts(spec, {}, LabelValue(None, "not_applicable", None), causes={"t": cause})
    )["t"]
    assert (explained.opens, explained.closes) == (None, None)
    assert explained.parent == ("buy", LabelValue(None, "not_applicable", None))
    assert explained.matures_at == SHOWN + timedelta(days=37)
    assert explained.to_json()["window"] is None


def test_the_exclusion_that_took_the_row_out_is_told_and_not_an_earlier_one_that_spared_it() -> None:
    outs = [{**OUT, "before_positive": True}, {"event": "barred", "on": "user"}]
    spec = tasks(t={**BUY, "exclude": outs})
    earlier, later = Event("stock_out", after(6)), Event("barred", after(9))
    found = {"t": [Events((earlier,), 1, 1), Events((later,), 1, 1)]}
    label, cause = LabelValue(None, "excluded", None), {"t": [("excluded", Why.EXCLUSION, "1")]}
    (explained,) = explain_tasks(spec, facts(spec, {}, label, exclusions=found, causes=cause)).values()
    assert explained.excluding == later
    (spared,) = explain_tasks(
        spec, facts(spec, {}, LabelValue(1, "observed", after(5)), exclusions=found)
    ).values()
    assert spared.excluding == earlier


def test_a_composite_has_parts_and_no_window() -> None:
    spec = tasks(buy=BUY, t={"compose": {"none_of": ["buy"]}})
    explained = explain_tasks(spec, facts(spec, {"buy__known": 0}, LabelValue(0, "observed", None)))["t"]
    assert explained.parts == {"buy": (0, LabelValue(0, "observed", None))}
    assert explained.opens is None
    assert explained.matures_at == SHOWN + timedelta(days=8)


def test_what_the_store_says_otherwise_is_named() -> None:
    early, late = LabelValue(1, "observed", after(1)), LabelValue(1, "observed", after(2))
    assert list_changed_tasks(
        {"a": early, "b": early, "gone": early}, {"a": early, "b": late, "new": late}
    ) == ["b"]
