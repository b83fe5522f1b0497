"""Credit by a join: windows that are equal share a row, and signals are numbered only where a rule counts."""

from collections.abc import Mapping

from tasks.labels import join_form
from tasks.labels import windows as w
from tasks.sql.templates import render
from tests.labels.engine import tasks

VISIT = {"event": "visit", "within": "P1D"}


def credited(rule: Mapping[str, object], *, kind: str = "binary") -> str:
    part = {"positive": rule} if kind == "binary" else {"kind": "value", "value": rule}
    spec = tasks(t=part)
    windows = w.windows(spec, "t", w.event_rule(spec, "t").match)
    return render(join_form.credited_every(spec, "t", "t__signals", windows))


def test_windows_are_made_distinct_only_where_a_repeated_signal_would_count_twice() -> None:
    assert "DISTINCT" not in credited(VISIT)
    assert "DISTINCT" in credited({**VISIT, "at_least": 2})
    assert "DISTINCT" not in credited({**VISIT, "aggregate": "max"}, kind="value")
    assert "DISTINCT" in credited({**VISIT, "aggregate": "sum"}, kind="value")


def test_signals_are_numbered_only_for_the_nth_and_the_first() -> None:
    assert "ROW_NUMBER" not in credited(VISIT)
    assert '"_place" = 2' in credited({**VISIT, "at_least": 2})
    assert '"_place" = 1' in credited({**VISIT, "aggregate": "first"}, kind="value")
    assert "ROW_NUMBER" not in credited({**VISIT, "aggregate": "count"}, kind="value")
