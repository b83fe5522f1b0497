"""Days against the days before them: gaps, volumes and silences of surfaces that live by different weeks."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta

import pandas as pd
import pytest

from tasks.validation import day_rules
from tasks.validation.measurements import Measurement, frame_of
from tasks.validation.trailing import Comparison

MONDAY = date(2026, 3, 2)
AS_OF = "2026-04-27T00:00:00Z"  # eight weeks on
FIRST = date(2026, 3, 1)
SPREAD_AS_OF = "2026-03-31T00:00:00Z"
Counts = Mapping[str, int]


def day(n: int) -> date:
    return MONDAY + timedelta(days=n)


def rows(counts: Iterable[tuple[int, int]], name: str = "x") -> pd.DataFrame:
    """Return the measured rows of days."""
    return frame_of(Measurement("rows", name, day=day(n), rows=count) for n, count in counts)


def gaps(days: Iterable[int]) -> list[str]:
    found = day_rules.check_missing_days(rows((n, 10) for n in days), as_of=AS_OF)
    return [sentence for _, sentence in found.broken]


def odd_volumes(
    counts: Iterable[tuple[int, int]], *, newest: int | None = None, grace_days: int = 0
) -> list[str]:
    comparison = Comparison(AS_OF, trailing=28, false_alarm_rate=0.02, newest=newest)
    found = day_rules.compare_volumes(rows(counts), comparison, above=1.8, below=0.55, grace_days=grace_days)
    return [sentence.split(",")[0] for _, sentence in found.broken]


def silences(counts: Iterable[tuple[int, int]], *, ended: bool) -> list[str]:
    frame = rows(counts, "click")
    grace_days = 1 if ended else 0
    found = day_rules.check_silences(
        frame, as_of=AS_OF, trailing=28, expected=30, ended=ended, grace_days=grace_days
    )
    return [sentence for _, sentence in found.broken]


def test_a_daily_surface_has_no_gap() -> None:
    assert gaps(range(56)) == []


def test_a_day_left_out_of_a_short_log_is_found() -> None:
    assert gaps([0, 1, 3, 4]) == ["2026-03-04: no row"]


def test_a_week_left_out_is_found_day_by_day() -> None:
    assert len(gaps([*range(20), *range(27, 56)])) == 7


def test_weekends_without_rows_are_no_gap_and_a_wednesday_is() -> None:
    working = [n for n in range(56) if n % 7 < 5]
    assert gaps(working) == []
    assert gaps([n for n in working if n != 23]) == ["2026-03-25: no row"]


def test_a_weekly_surface_has_no_gap_between_its_days_and_one_where_a_week_is_missing() -> None:
    assert gaps(range(0, 56, 7)) == []
    assert gaps([0, 7]) == []
    assert gaps([n for n in range(0, 56, 7) if n != 21]) == ["2026-03-23: no row"]


def test_one_day_alone_has_no_gap() -> None:
    assert gaps([3]) == []


def test_ten_times_the_rows_are_odd_on_a_daily_and_on_a_weekly_surface() -> None:
    assert odd_volumes((n, 1000 if n == 40 else 100 + n % 5) for n in range(56)) == ["x 2026-04-11: 1"]
    assert odd_volumes((n, 9000 if n == 49 else 900 + n % 5) for n in range(0, 56, 7)) == ["x 2026-04-20: 9"]


def test_a_tenth_of_the_rows_is_odd() -> None:
    assert odd_volumes((n, 10 if n == 40 else 100 + n % 5) for n in range(56)) == ["x 2026-04-11: 10"]


@pytest.mark.parametrize("days", [12, 18, 40])
def test_a_day_delivered_twice_or_half_is_odd_on_logs_of_two_weeks_and_more(days: int) -> None:
    usual = [(n, 400 + 7 * (n % 5)) for n in range(56 - days, 56)]
    for change, ratio in (("twice", 2), ("half", 0.5)):
        for odd in range(max(56 - days + 8, 28), 56):
            counts = [(n, int(count * ratio) if n == odd else count) for n, count in usual]
            assert [s.split(":")[0] for s in odd_volumes(counts, newest=28)] == [f"x {day(odd)}"], change
    assert odd_volumes(usual, newest=28) == []


def test_busy_weekends_are_usual_and_a_busy_tuesday_is_not() -> None:
    week = [100, 100, 100, 100, 100, 400, 500]
    assert odd_volumes((n, week[n % 7]) for n in range(56)) == []
    assert odd_volumes((n, 500 if n == 50 else week[n % 7]) for n in range(56)) == ["x 2026-04-21: 500"]


def test_a_surface_that_grows_is_usual() -> None:
    assert odd_volumes((n, round(100 * 1.02**n)) for n in range(56)) == []


def test_few_rows_a_day_may_differ_by_chance() -> None:
    assert odd_volumes((n, (1, 0, 4, 2, 1, 3, 6, 2)[n % 8]) for n in range(56)) == []


def test_twice_a_few_rows_may_come_by_chance() -> None:
    assert odd_volumes((n, 32 if n == 20 else 14 + n % 5) for n in range(56)) == []


def test_rows_that_may_still_be_on_the_way_are_not_judged() -> None:
    counts = [(n, 5 if n == 55 else 100) for n in range(56)]
    assert odd_volumes(counts) == ["x 2026-04-26: 5"]
    assert odd_volumes(counts, grace_days=1) == []


def test_only_the_newest_days_are_judged_where_that_is_asked() -> None:
    counts = [(n, 1000 if n == 20 else 100) for n in range(56)]
    assert odd_volumes(counts, newest=28) == []


def test_a_stream_that_stops_is_no_silence_that_passed() -> None:
    stopped = [(n, 50) for n in range(50)]
    assert silences(stopped, ended=True) == ["click: no event from 2026-04-21 to 2026-04-25, 250 were usual"]
    assert silences(stopped, ended=False) == []


def test_a_silence_that_passed_is_no_stream_that_stops() -> None:
    paused = [(n, 50) for n in range(56) if n not in {30, 31}]
    assert silences(paused, ended=True) == []
    assert silences(paused, ended=False) == ["click: no event from 2026-04-01 to 2026-04-02, 100 were usual"]


def test_the_newest_day_may_still_be_on_the_way() -> None:
    assert silences([(n, 50) for n in range(55)], ended=True) == []


def test_a_stream_that_rests_at_weekends_goes_on() -> None:
    assert silences([(n, 50) for n in range(56) if n % 7 < 5], ended=False) == []
    assert silences([(n, 50) for n in range(56) if n % 7 < 5], ended=True) == []


def test_a_rare_stream_may_be_silent() -> None:
    assert silences([(n, 2) for n in range(0, 40, 3)], ended=True) == []


@pytest.mark.parametrize("length", range(5, 15))
def test_a_silent_day_of_a_first_week_is_found_by_all_its_days(length: int) -> None:
    """Whatever weekday the log begins with: all events of one day are gone, and the next day has some."""
    first = 56 - length
    for silent in range(first + 1, min(first + 7, 55)):
        days = [(n, 50) for n in range(first, 56) if n != silent]
        said = silences(days, ended=False)
        assert said == [f"click: no event from {day(silent)} to {day(silent)}, 50 were usual"]


@pytest.mark.parametrize("days", range(4))
def test_too_few_days_are_not_judged_and_never_said_to_be_free_of_silence(days: int) -> None:
    for ended in (True, False):
        found = day_rules.check_silences(
            rows([(n, 50) for n in range(56 - days, 56)], "click"),
            as_of=AS_OF, trailing=28, expected=30, ended=ended,
        )  # fmt: skip
        assert found.observed.startswith("not evaluated: ")


def test_days_that_too_few_came_before_are_said_not_to_be_judged() -> None:
    comparison = Comparison(AS_OF, trailing=28, false_alarm_rate=0.01)
    for days, said in ((5, "not evaluated"), (9, "2 of 9 figures"), (0, "0 figures")):
        frame = rows((n, 100) for n in range(56 - days, 56))
        assert day_rules.compare_volumes(frame, comparison, above=1.8, below=0.55).observed.startswith(said)


def missing_negatives(
    counts: Iterable[tuple[int, int, int]], *, since: int = 0, statistic: str = "negatives"
) -> list[str]:
    """Return what is reported of days with so many events of so many impressions."""
    frame = frame_of(Measurement(statistic, "hide_7d", "hide", day(n), k, of) for n, k, of in counts)
    found = day_rules.check_missing_negatives(
        frame, statistic=statistic, since=str(day(since)), trailing=28, expected=10
    )
    return [sentence for _, sentence in found.broken]


@pytest.mark.parametrize("silent", [1, 5, 20, 41])
def test_a_day_without_a_negative_event_is_found_wherever_it_lies(silent: int) -> None:
    counts = [(n, 0 if n == silent else 12, 600) for n in range(42)]
    assert missing_negatives(counts) == [f"{day(silent)}: no hide of hide_7d in 600 rows, 12 were expected"]


def test_days_without_a_negative_event_add_up_and_few_expected_ones_are_no_finding() -> None:
    few = [(n, 0 if n in {20, 21, 22} else 4, 600) for n in range(42)]
    assert missing_negatives(few) == [
        "2026-03-22 to 2026-03-24: no hide of hide_7d in 1,800 rows, 12 were expected"
    ]
    assert missing_negatives([(n, 0 if n in {20, 21} else 4, 600) for n in range(42)]) == []


def test_days_with_nearly_no_negative_event_are_found_and_days_with_some_are_not() -> None:
    assert missing_negatives((n, 2 if n > 38 else 30, 600) for n in range(42)) == [
        f"{day(39)} to {day(41)}: 6 hide of hide_7d in 1,800 rows, 90 were expected"
    ]
    assert missing_negatives((n, 4 if n > 38 else 30, 600) for n in range(42)) == []


def lasting_changes(rates: Callable[[int], float]) -> list[str]:
    """Return what is reported of the newest seven days where no day alone is unusual."""
    frame = frame_of(
        Measurement("positives", "hide_7d", "", day(n), round(600 * rates(n) + n % 7 - 3), 600)
        for n in range(42)
    )
    comparison = Comparison(AS_OF, trailing=28, false_alarm_rate=1e-9, newest=7)
    found = day_rules.compare_shares(frame, comparison, statistic="positives", lasting=True)
    assert len(found.lines[0].odd) == (7 if found.broken else 0)  # what the report's chart marks
    return [sentence for _, sentence in found.broken]


@pytest.mark.parametrize(("lost", "share"), [(0.5, "1.00%"), (-1.0, "4.00%")])
def test_a_share_that_changed_for_days_is_found_although_each_day_alone_may_be_chance(
    lost: float, share: str
) -> None:
    assert lasting_changes(lambda n: 0.02 * (1 - lost) if n >= 35 else 0.02) == [
        f"hide_7d {day(35)} to {day(41)}: {share}, usual 2.00%"
    ]


def test_weekends_and_small_changes_are_no_lasting_change() -> None:
    assert lasting_changes(lambda n: 0.04 if n % 7 >= 5 else 0.02) == []
    assert lasting_changes(lambda n: 0.015 if n >= 35 else 0.02) == []


def test_fewer_impressions_make_fewer_negative_events_expected() -> None:
    assert missing_negatives([(n, 0, 60) if n == 30 else (n, 12, 600) for n in range(42)]) == []


def test_a_negative_that_comes_once_a_week_and_one_that_came_in_one_burst_are_not_missing() -> None:
    assert missing_negatives((n, 90 if n % 7 == 0 else 0, 600) for n in range(42)) == []
    assert missing_negatives((n, 500 if n == 3 else int(n % 3 == 0), 600) for n in range(42)) == []


def test_a_silence_that_no_slice_reaches_is_no_finding() -> None:
    counts = [(n, 0 if n == 20 else 12, 600) for n in range(42)]
    assert missing_negatives(counts, since=21) == []
    assert len(missing_negatives(counts, since=20)) == 1


def days(counts_of: Callable[[int], Counts], n: int = 30) -> pd.DataFrame:
    """Return the measured values of a column on so many days."""
    return frame_of(
        Measurement("values", "kind", value, FIRST + timedelta(days=day), rows, 100)
        for day in range(n)
        for value, rows in counts_of(day).items()
    )


def changed(frame: pd.DataFrame) -> list[str]:
    found = day_rules.check_values(
        frame, columns=["kind"], as_of=SPREAD_AS_OF, trailing=14, newest=3, share=0.05
    )
    return [sentence for _, sentence in found.broken]


def moved(frame: pd.DataFrame) -> list[str]:
    comparison = Comparison(SPREAD_AS_OF, trailing=28, false_alarm_rate=0.01, newest=7)
    found = day_rules.compare_distributions(frame, comparison, least=0.05)
    return [sentence.split(":")[0] for _, sentence in found.broken]


def test_values_that_stay_are_no_finding() -> None:
    frame = days(lambda day: {"a": 60 + day % 3, "b": 40})
    assert (changed(frame), moved(frame)) == ([], [])


def test_a_value_that_took_the_place_of_another_is_two_findings() -> None:
    frame = days(lambda day: {"a": 60, "b" if day < 27 else "c": 40})
    assert changed(frame) == [
        "kind 'b' vanished on 2026-03-28: 40.0% before",
        "kind 'c' appeared on 2026-03-28: 40.0%",
    ]


def test_a_rare_value_may_come_and_go() -> None:
    assert changed(days(lambda day: {"a": 99, "b" if day < 27 else "c": 1})) == []


def test_few_days_say_nothing() -> None:
    assert changed(days(lambda day: {"a": 60, "b" if day < 6 else "c": 40}, n=9)) == []


def test_a_day_whose_shares_are_turned_round_has_moved() -> None:
    assert moved(days(lambda day: {"a": 90, "b": 10} if day < 29 else {"a": 10, "b": 90})) == [
        "kind 2026-03-30"
    ]


def test_a_day_that_is_not_over_is_not_judged() -> None:
    assert moved(days(lambda day: {"a": 90, "b": 10} if day < 30 else {"a": 10, "b": 90}, n=31)) == []
