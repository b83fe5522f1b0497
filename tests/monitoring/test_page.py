"""The page of a surface's series: its state, its drawings and its tables."""

import re
from datetime import date, timedelta

import numpy as np
import pandas as pd

from tasks.monitoring.alarms import read_alarms
from tasks.monitoring.page import SeriesPage, write_page
from tests.monitoring.test_alarms import SERIES, table


def page_of(series: pd.DataFrame, *, critical: tuple[str, ...] = ()) -> str:
    alarms = read_alarms(series, critical=critical, sent={})
    page = SeriesPage("shop", "2026-05-16T00:00:00Z", alarms, [], [], [], ["Release 3 is <unknown>."])
    return " ".join(write_page(page, series).split())


def weeks(*rows: tuple[str, str, float, float, float, int]) -> pd.DataFrame:
    """Return calibration of weeks: task, value of the segment kind, value, low, high and events."""
    found = pd.DataFrame(rows, columns=["task", "segment_value", "value", "low", "high", "events"])
    day = date(2026, 5, 10)
    nothing = dict.fromkeys(("feature", "constraint", "column", "value_of"), "")
    segment = np.where(found["segment_value"] == "", "", "kind")
    return found.assign(
        day=[day - timedelta(days=7 * n) for n in found.groupby(["task", "segment_value"]).cumcount()],
        days=7, metric="calibration_ratio", release=np.nan, segment=segment, n=50, **nothing,
    )  # fmt: skip


def daily(days: int) -> pd.DataFrame:
    return table(days, **SERIES).assign(low=np.nan, high=np.nan, n=50, events=9, segment_value="")


def test_alarms_come_first_with_what_to_do_and_mark_their_days() -> None:
    page, reading = (
        page_of(daily(134), critical=("click",)),
        read_alarms(daily(134), critical=(), sent={}),
    )
    (alarm,) = reading.current
    moved = f"{alarm.before:.3g} to {alarm.now:.3g} since {alarm.since}"
    assert f'<h3 class="critical">Critical: calibration ratio of click, {moved}</h3>' in page
    assert page.index("more frequent, relative") < page.index("<h2>Calibration ratio</h2>")
    assert page.count('class="odd"') == len(reading.raised[alarm.subject])
    assert "Release 3 is &lt;unknown&gt;." in page


def test_a_short_history_has_levels_only_and_a_quiet_one_no_alarm() -> None:
    assert "Levels only: 97 days of history, and alarms need 98." in page_of(daily(97))
    assert "No alarm in the last seven days." in page_of(daily(120))


def test_segments_that_leave_one_out_and_weeks_are_listed() -> None:
    found = weeks(
        ("click", "", 1.1, 0.9, 1.3, 80),
        ("click", "", 1.0, 0.8, 1.2, 70),
        ("click", "a", 1.5, 1.2, 1.8, 30),
        ("click", "b", 0.9, 0.7, 1.1, 50),
        ("hide", "a", 0.6, 0.4, 0.8, 40),
    )
    page = page_of(found)
    rows = re.findall(r"<tr><td>(\w+)</td><td>kind=(\w)</td>", page)
    assert rows == [("hide", "a"), ("click", "a")]
    assert re.findall(r'<td class="brief">([\d-]+)</td>', page) == ["2026-05-10", "2026-05-03"]


def test_the_newest_week_is_drawn_by_tenth_in_their_order() -> None:
    tenths = weeks(("click", "", 0.7, 0.5, 1.4, 40), ("click", "", 1.2, 0.5, 1.4, 40))
    tenths = pd.concat(
        [
            tenths.assign(day=date(2026, 5, 10), value_of=["10", "2"]),
            tenths.assign(day=date(2026, 5, 3), value_of=["10", "2"]),
        ]
    ).assign(metric="calibration_by_tenth", column="tenth")
    page = page_of(pd.concat([weeks(("click", "", 1.1, 0.9, 1.3, 80)), tenths]))
    assert "<h3>click, week to 2026-05-10</h3>" in page
    assert [*dict.fromkeys(re.findall(r"tenth \d+", page))] == ["tenth 2", "tenth 10"]
