"""Credit by a scan: which rules it finds exactly, and how far it looks."""

import pytest

from tasks.labels import scan_form
from tasks.labels import windows as w
from tasks.sql.templates import render
from tests.labels.engine import tasks

CLICK = {"positive": {"event": "click", "within": "PT1H"}}
VISIT = {"event": "visit", "within": "P1D"}


@pytest.mark.parametrize(
    ("rule", "scans"),
    [
        ({}, True),
        ({"at_least": 3}, True),
        ({"after": "click"}, True),
        ({"credit": "last_touch"}, True),
        ({"credit": "first_touch", "after": "click"}, False),
    ],
)
def test_a_touch_after_a_parents_event_is_not_scanned(rule: dict[str, object], scans: bool) -> None:
    spec = tasks(click=CLICK, t={"positive": {**VISIT, **rule}})
    assert scan_form.can_scan(w.event_rule(spec, "t")) is scans


@pytest.mark.parametrize(
    ("aggregate", "credit", "scans"),
    [
        ("max", "every", True),
        ("count", "every", True),
        ("sum", "every", False),
        ("first", "every", False),
        ("sum", "last_touch", True),
    ],
)
def test_a_sum_and_a_first_value_need_each_windows_own_signals(
    aggregate: str, credit: str, scans: bool
) -> None:
    spec = tasks(t={"kind": "value", "value": {**VISIT, "aggregate": aggregate, "credit": credit}})
    assert scan_form.can_scan(w.event_rule(spec, "t")) is scans


def test_a_count_comes_from_a_frame_a_microsecond_shorter_than_the_window() -> None:
    spec = tasks(t={"kind": "value", "value": {**VISIT, "aggregate": "count"}})
    windows = w.windows(spec, "t", w.event_rule(spec, "t").match)
    sql = render(scan_form.credited_every(spec, "t", "t__signals", windows))
    assert f"INTERVAL '{86_400_000_000 - 1}' MICROSECOND PRECEDING" in sql
