"""Rules on days: each whole day is held against the days before it (``trailing.py``).

A day is whole when it had ended at the as-of. Where fewer than five days came before, or none of that
weekday, nothing is said.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.columns import Status
from tasks.validation import measurements as m
from tasks.validation import trailing as t
from tasks.validation.judged import Judged, Line
from tasks.validation.trailing import Floats

_DAY = timedelta(days=1)
_WEEKS = 4

Flags = npt.NDArray[np.bool_]
Levels = Callable[[pd.DataFrame], tuple[Floats, Floats]]


def no_day_left_out(frame: pd.DataFrame, *, as_of: str) -> Judged:
    """Find days without a row between days with rows, where most days of that weekday around them have some.

    Where no two of that weekday lie within four weeks, the days of the week around are asked.
    """
    days = set(_whole(frame, m.ROWS, as_of)["day"])
    if not days:
        return Judged(["table"], [], "no whole day")
    first, last = min(days), max(days)
    between = [first + n * _DAY for n in range(1, (last - first).days)]
    empty = [day for day in between if day not in days and _expected(day, days, first, last)]
    broken = [("table", f"{day}: no row") for day in empty]
    return Judged(["table"], broken, f"rows on {len(days)} days from {first} to {last}")


def _expected(day: date, days: set[date], first: date, last: date) -> bool:
    weeks = [day + 7 * n * _DAY for n in range(-_WEEKS, _WEEKS + 1) if n]
    around = [near for near in weeks if first <= near <= last]
    if len(around) < 2:
        week = [day + n * _DAY for n in range(-7, 8) if n]
        around = [near for near in week if first <= near <= last]
    return 2 * sum(near in days for near in around) > len(around)


def volume_as_usual(
    frame: pd.DataFrame,
    *,
    as_of: str,
    trailing: int,
    doubt: float,
    factor: float,
    grace_days: int = 0,
    newest: int | None = None,
) -> Judged:
    """Find days with rows whose number of rows lies outside of its interval and is a factor away from usual.

    Parameters
    ----------
    grace_days : the newest whole days are not asked: their rows may still be on the way.
    """
    counted = _whole(frame, m.ROWS, as_of, grace_days=grace_days)
    counted = counted[counted["rows"] > 0]

    def levels(one: pd.DataFrame) -> tuple[Floats, Floats]:
        return t.count_levels(one["rows"].to_numpy(float))

    def odd(values: Floats, middle: Floats) -> Flags:
        return np.maximum(values + 1, middle + 1) / np.minimum(values + 1, middle + 1) >= factor

    return _judge(
        counted, levels, t.counts_of, odd, trailing=trailing, doubt=doubt, newest=newest, share=False
    )


def shares_as_usual(
    frame: pd.DataFrame,
    *,
    statistic: str,
    as_of: str,
    trailing: int,
    doubt: float,
    newest: int | None = None,
    least: float = 0.0,
    least_change: float = 0.0,
) -> Judged:
    """Find days on which a share of the rows lies outside of its interval and a least change away from usual.

    Of labels, a day counts from when none of its labels is immature.

    Parameters
    ----------
    least : a smaller difference from the middle is no finding;
    least_change : nor is a smaller one as a part of the larger of the two.
    """
    counted = _mature(frame, _whole(frame, statistic, as_of))

    def levels(one: pd.DataFrame) -> tuple[Floats, Floats]:
        return t.share_levels(one["rows"].to_numpy(float), one["of"].to_numpy(float))

    def odd(values: Floats, middle: Floats) -> Flags:
        return np.abs(values - middle) >= np.maximum(least, least_change * np.maximum(values, middle))

    return _judge(
        counted[(counted["of"] > 0) & _ever_found(counted)],
        levels,
        t.shares_of,
        odd,
        trailing=trailing,
        doubt=doubt,
        newest=newest,
        share=True,
    )


def streams_go_on(
    frame: pd.DataFrame, *, as_of: str, trailing: int, expected: float, grace_days: int
) -> Judged:
    """Find events that fell silent up to the as-of, where at least so many were usual for those days.

    Parameters
    ----------
    grace_days : the newest whole days are not asked: their events may still be on the way.
    """
    return _silent(
        frame, as_of=as_of, trailing=trailing, expected=expected, grace_days=grace_days, ended=True
    )


def no_silent_day(frame: pd.DataFrame, *, as_of: str, trailing: int, expected: float) -> Judged:
    """Find events that fell silent for days and came back, where at least so many were usual."""
    return _silent(frame, as_of=as_of, trailing=trailing, expected=expected, grace_days=0, ended=False)


def _silent(
    frame: pd.DataFrame, *, as_of: str, trailing: int, expected: float, grace_days: int, ended: bool
) -> Judged:
    counted = _whole(frame, m.ROWS, as_of)
    first = min(counted["day"], default=date.max)
    last = _last_whole(as_of) - grace_days * _DAY
    days = [first + n * _DAY for n in range((last - first).days + 1)]
    broken = []
    for name, one in counted.groupby("subject"):
        rows = one.set_index("day")["rows"].reindex(days, fill_value=0).to_numpy(float)
        broken += [
            (str(name), f"{name}: no event from {days[start]} to {days[stop - 1]}, {usual:,.0f} were usual")
            for start, stop, usual in _silences(days, rows, trailing)
            if usual >= expected and (stop == len(days)) == ended
        ]
    return Judged(sorted(set(counted["subject"])), broken, f"none was silent until {last}")


def _silences(days: Sequence[date], rows: Floats, trailing: int) -> Iterator[tuple[int, int, float]]:
    """Yield each row of silent days, as a half-open range, and how many events were usual for it."""
    weekdays = np.array([day.weekday() for day in days])
    for start in np.flatnonzero((rows[1:] == 0) & (rows[:-1] > 0)) + 1:
        later = np.flatnonzero(rows[start:] > 0)
        stop = int(start + later[0]) if len(later) else len(rows)
        if start < t.LEAST_DAYS:
            continue
        before = slice(max(0, start - trailing), start)
        held = {day: rows[before][weekdays[before] == day] for day in set(weekdays[start:stop])}
        usual = sum(np.median(held[day]) for day in weekdays[start:stop] if len(held[day]))
        yield int(start), stop, float(usual)


def _judge(
    counted: pd.DataFrame,
    levels: Levels,
    back: Callable[[Floats], Floats],
    odd: Callable[[Floats, Floats], Flags],
    *,
    trailing: int,
    doubt: float,
    newest: int | None,
    share: bool,
) -> Judged:
    """Judge every series of the counted days; the doubt is shared among all that is looked at."""
    series = {_name(*key): one for key, one in counted.groupby(["subject", "value"], sort=False)}
    looked_at = sum(min(newest or len(one), len(one)) for one in series.values())
    broken, lines = [], []
    for name, one in series.items():
        days, (level, noise) = one["day"].tolist(), levels(one)
        usual = t.usual_levels(days, level, noise, trailing=trailing, doubt=doubt / max(looked_at, 1))
        values, middle, low, high = (back(each) for each in (level, usual.middle, usual.low, usual.high))
        outside = ((level < usual.low) | (level > usual.high)) & odd(values, middle)
        outside[: len(days) - newest if newest else 0] = False
        told = [
            (_written(values[n], share), _written(low[n], share), _written(high[n], share))
            for n in range(len(days))
        ]
        found = [n for n in range(len(days)) if outside[n]]
        broken += [
            (name, f"{name} {days[n]}: {told[n][0]}, usual {told[n][1]} to {told[n][2]}") for n in found
        ]
        lines.append(_line(name, days, (values, low, high), share, [days[n] for n in found]))
    holds = f"{looked_at:,} figures of {len(series)} series, none outside of its interval"
    return Judged(list(series), broken, holds, lines)


def _line(
    name: str, days: Sequence[date], figures: Sequence[Floats], share: bool, found: Sequence[date]
) -> Line:
    plain = [[None if np.isnan(v) else float(v) for v in each] for each in figures]
    return Line(name, days, plain[0], plain[1], plain[2], share, found)


def _name(subject: object, value: object) -> str:
    return f"{subject} {value}" if value else str(subject)


def _written(value: float, share: bool) -> str:
    return f"{value:.2%}" if share else f"{value:,.0f}"


def _whole(frame: pd.DataFrame, statistic: str, as_of: str, *, grace_days: int = 0) -> pd.DataFrame:
    """Return a statistic's rows of whole days, but for the newest ones of grace."""
    found, last = frame.loc[frame["statistic"] == statistic], _last_whole(as_of) - grace_days * _DAY
    return found.loc[np.array([day <= last for day in found["day"]], dtype=bool)]


def _last_whole(as_of: str) -> date:
    return (datetime.fromisoformat(as_of) - _DAY).date()


def _ever_found(counted: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are of a series that is not zero on every day: the others have nothing to tell."""
    return counted.groupby(["subject", "value"])["rows"].transform("max") > 0


def _mature(frame: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """Leave out the days of a task on which a label is immature, and the share of those."""
    immature = frame[
        (frame["statistic"] == m.STATUS) & (frame["value"] == Status.IMMATURE) & (frame["rows"] > 0)
    ]
    young = set(zip(immature["subject"], immature["day"], strict=True))
    pairs = zip(counted["subject"], counted["day"], counted["value"], strict=True)
    kept = [(task, day) not in young and value != Status.IMMATURE for task, day, value in pairs]
    return counted.loc[np.array(kept, dtype=bool)]
