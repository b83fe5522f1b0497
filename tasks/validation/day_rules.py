"""Rules on days: each complete day is compared with the days before it (``trailing.py``).

A day is complete if it had ended at the as-of. It is skipped if fewer than five days precede it, or none with
the same weekday.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import poisson

from tasks.arrays import Flags, Floats
from tasks.columns import Status
from tasks.validation import measurements as m
from tasks.validation import trailing as t
from tasks.validation.findings import DayLine, RuleResult
from tasks.validation.trailing import Comparison

_DAY = timedelta(days=1)
_WEEKS, _WEEK, _SATURDAY = 4, 7, 5
_LEAST_KEPT, _CHANCE = 20, 4
_LEAST_OTHERS = 3
"""Minimum number of days outside of a silence to determine the usual level."""

_NOT_JUDGED = "not evaluated: too few days came before any"

Differs = Callable[[Floats, Floats], Flags]
"""Whether values differ enough from the usual middle to be reported, day by day."""
_NEARLY_NONE, _LARGE = 0.1, 1.5
_ENOUGH_DAYS = 7
_ENOUGH_ROWS = 20


class _CountScale(NamedTuple):
    """Transforms of counted days to levels with constant variance, and of levels back to figures."""

    levels: Callable[[pd.DataFrame], tuple[Floats, Floats]]
    figures: Callable[[Floats], Floats]
    written: Callable[[float], str]


_COUNTS = _CountScale(lambda one: t.count_levels(one["rows"].to_numpy(float)), t.counts_of, "{:,.0f}".format)
_SHARES = _CountScale(
    lambda one: t.share_levels(one["rows"].to_numpy(float), one["of"].to_numpy(float)),
    t.shares_of,
    "{:.2%}".format,
)


def check_missing_days(frame: pd.DataFrame, *, as_of: str) -> RuleResult:
    """Find days without rows between days with rows if most nearby days with that weekday have rows.

    Without two such weekdays within four weeks, the days of the surrounding week decide.
    """
    days = set(_whole_days(frame, m.ROWS, as_of)["day"])
    if not days:
        return RuleResult(["table"], [], "no whole day")
    first, last = min(days), max(days)
    between = [first + n * _DAY for n in range(1, (last - first).days)]
    empty = [day for day in between if day not in days and _is_expected(day, days, first, last)]
    broken = [("table", f"{day}: no row") for day in empty]
    return RuleResult(["table"], broken, f"rows on {len(days)} days from {first} to {last}")


def _is_expected(day: date, days: set[date], first: date, last: date) -> bool:
    for step, reach in ((7, _WEEKS), (1, 7)):
        near = (day + n * step * _DAY for n in range(-reach, reach + 1) if n)
        around = [other for other in near if first <= other <= last]
        if len(around) >= 2:
            break
    return 2 * sum(other in days for other in around) > len(around)


def compare_volumes(
    frame: pd.DataFrame, comparison: Comparison, *, above: float, below: float, grace_days: int = 0
) -> RuleResult:
    """Find days whose number of rows lies outside of its interval and far from the usual number.

    The false alarm rate applies to each day separately. Divided among all days, it would make the interval of
    a second week so wide that a day delivered twice lies inside.
    """

    def differs(values: Floats, middle: Floats) -> Flags:
        (level, noise), (usual, usual_noise) = t.count_levels(values), t.count_levels(middle)
        by_chance = np.abs(level - usual) <= _CHANCE * np.sqrt(noise + usual_noise)
        return ((values > above * middle) | (values < below * middle)) & ~by_chance

    counted = _whole_days(frame, m.ROWS, comparison.as_of, grace_days=grace_days)
    return _compare(counted[counted["rows"] > 0], _COUNTS, comparison, differs, shared=False)


def compare_shares(
    frame: pd.DataFrame,
    comparison: Comparison,
    *,
    statistic: str,
    least: float = 0.0,
    least_change: float = 0.0,
    lasting: bool = False,
) -> RuleResult:
    """Find days on which a share lies outside of its interval and by a minimum away from the usual share.

    For labels, only days without immature labels are compared. Series that are zero on every day are omitted.
    ``lasting`` also compares the newest days together, because a change that each day alone may owe to chance
    can be clear over a week.
    """

    def differs(values: Floats, middle: Floats) -> Flags:
        return np.abs(values - middle) >= np.maximum(least, least_change * np.maximum(values, middle))

    counted = _drop_immature(frame, _whole_days(frame, statistic, comparison.as_of))
    occurs = counted.groupby(["subject", "value"])["rows"].transform("max") > 0
    counted = counted[(counted["of"] > 0) & occurs]
    result = _compare(counted, _SHARES, comparison, differs)
    return _add_lasting_changes(result, counted, comparison) if lasting else result


def _add_lasting_changes(result: RuleResult, counted: pd.DataFrame, comparison: Comparison) -> RuleResult:
    """Add the series whose newest days, two or more together, have an unusual share."""
    broken, lines = [*result.broken], []
    for line in result.lines:
        one = counted[(counted["subject"] == line.subject) & (counted["value"] == line.value)]
        hits, of = one["rows"].to_numpy(float), one["of"].to_numpy(float)
        start = _start_of_change(hits, of, comparison)
        days = line.days[start:]
        if days:
            now, usual = (hits[part].sum() / of[part].sum() for part in (slice(start, None), slice(start)))
            broken.append((line.title, f"{line.title} {days[0]} to {days[-1]}: {now:.2%}, usual {usual:.2%}"))
        lines.append(replace(line, odd=sorted({*line.odd, *days})))
    return replace(result, broken=broken, lines=lines)


def _start_of_change(hits: Floats, of: Floats, comparison: Comparison) -> int:
    """Return the first of the newest days that differ together from the trailing days, else their number.

    They differ by a factor of 1.5 and by four standard deviations, estimated from the spread of the trailing
    days or, if that is larger, from chance.
    """
    levels, noise = t.share_levels(hits, of)
    for start in range(max(len(of) - (comparison.newest or len(of)), _ENOUGH_DAYS), len(of) - 1):
        before = slice(max(0, start - comparison.trailing), start)
        now, usual = hits[start:].sum() / of[start:].sum(), hits[before].sum() / of[before].sum()
        spread = max(np.var(levels[before], ddof=1), noise[before].mean())
        deviation = np.sqrt(spread / (len(of) - start) + spread / len(levels[before]))
        far = abs(levels[start:].mean() - levels[before].mean()) > _CHANCE * deviation
        if far and max(now, usual) >= _LARGE * min(now, usual):
            return start
    return len(of)


def compare_kept_shares(frame: pd.DataFrame, *, least: float, least_dropped: int) -> RuleResult:
    """Find days on which a hard constraint drops all rows, or keeps an unusual share.

    A share is unusual if it differs by at least `least` or falls below half. The day must differ from the
    seven days before and, if three exist, from the seven after, so that a lasting change of level is usual.
    Days in a row on which nothing is dropped are unusual, however many, if at least `least_dropped` rows were
    usual and each surrounding day dropped at least half of its usual share, because rows of one item are
    dropped together.
    """
    broken, names = [], []
    for name, counted in frame[frame["statistic"] == m.KEPT].groupby("subject"):
        names.append(str(name))
        one = counted[counted["of"] >= _LEAST_KEPT]
        kept, of = one["rows"].to_numpy(float), one["of"].to_numpy(float)
        shares, unknown = kept / of, one["total"].to_numpy(float)
        silent = _silent_days(shares, of, least_dropped)
        for n, day in enumerate(one["day"]):
            usual = np.array([np.median(side) for side in _sides(shares, n, n + 1)])
            large = (np.abs(shares[n] - usual) >= least) | (shares[n] < usual / 2)
            apart = 2 * np.abs(np.arcsin(np.sqrt(shares[n])) - np.arcsin(np.sqrt(usual)))
            far = large & (apart > _CHANCE * np.sqrt(2 / of[n]))
            if kept[n] and n not in silent and not (len(usual) and far.all()):
                continue
            text = f"{name} {day}: keeps {kept[n]:,.0f} of {of[n]:,.0f} rows"
            text += f", {unknown[n]:,.0f} without a value" if unknown[n] else ""
            broken.append((str(name), text + (f", usual {usual[0]:.1%}" if len(usual) else "")))
    return RuleResult(
        names, broken, "on no day" if names else "no hard constraint reads a column of the table"
    )


def _sides(values: Floats, start: int, stop: int) -> list[Floats]:
    """Return the values of the seven days before some days, and of those after, if three or more exist."""
    around = values[max(0, start - _WEEK) : start], values[stop : stop + _WEEK]
    return [side for side in around if len(side) >= _LEAST_OTHERS]


def _silent_days(shares: Floats, of: Floats, least_dropped: int) -> set[int]:
    """Return the days on which nothing is dropped although the days before and after dropped enough."""
    found = set[int]()
    for start, stop in _runs(shares == 1):
        sides = _sides(shares, start, stop)
        dropped = [1 - np.median(side) for side in sides]
        steady = all(2 * (1 - side.max()) >= usual for side, usual in zip(sides, dropped, strict=True))
        if sides and steady and min(dropped) * of[start:stop].sum() >= least_dropped:
            found |= {*range(start, stop)}
    return found


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Return each run of true flags as a half-open range."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int))).tolist()
    return list(zip(ends[::2], ends[1::2], strict=True))


def check_silences(
    frame: pd.DataFrame, *, as_of: str, trailing: int, expected: float, ended: bool, grace_days: int = 0
) -> RuleResult:
    """Find events without rows for a period in which at least the expected number was usual."""
    counted = _whole_days(frame, m.ROWS, as_of)
    first = min(counted["day"], default=date.max)
    last = m.last_whole_day(as_of) - grace_days * _DAY
    days = [first + n * _DAY for n in range((last - first).days + 1)]
    broken = []
    for name, one in counted.groupby("subject"):
        rows = one.set_index("day")["rows"].reindex(days, fill_value=0).to_numpy(float)
        broken += [
            (str(name), f"{name}: no event from {days[start]} to {days[stop - 1]}, {usual:,.0f} were usual")
            for start, stop, usual in _silences(days, rows, trailing)
            if usual >= expected and (stop == len(days)) == ended
        ]
    holds = f"none was silent until {last}"
    if len(days) <= _LEAST_OTHERS:
        holds = f"not evaluated: {max(len(days), 0)} whole day(s) with events, {_LEAST_OTHERS + 1} are needed"
    return RuleResult(sorted(set(counted["subject"])), broken, holds)


def _silences(days: Sequence[date], rows: Floats, trailing: int) -> Iterator[tuple[int, int, float]]:
    """Yield each run of silent days, as a half-open range, with the usual number of events for it.

    A run in the first week, without earlier days of that weekday, is compared with all days outside of it.
    """
    weekdays = np.array([day.weekday() for day in days])
    for start, stop in _runs(rows == 0):
        if start == 0:
            continue
        if start < _WEEK:
            others = np.delete(rows, slice(start, stop)), np.delete(weekdays, slice(start, stop))
            if len(others[0]) >= _LEAST_OTHERS:
                back = stop < len(rows)
                usual = sum(_usual_of_all(day, *others, any_day=back) for day in weekdays[start:stop])
                yield start, stop, usual
            continue
        before = slice(max(0, start - trailing), start)
        same = {day: rows[before][weekdays[before] == day] for day in set(weekdays[start:stop])}
        usual = sum(np.median(same[day]) for day in weekdays[start:stop] if len(same[day]))
        yield start, stop, float(usual)


def check_missing_negatives(
    frame: pd.DataFrame,
    *,
    statistic: str,
    since: str,
    trailing: int,
    expected: float,
    tasks: Sequence[str] | None = None,
) -> RuleResult:
    """Find days with nearly no negative outcome, or runs of them.

    Each day has at most a tenth of the expected number, which is the usual rate times its rows. Together they
    are as improbable as no outcome where ``expected`` are usual, by a Poisson distribution.
    """
    counted = frame.loc[(frame["statistic"] == statistic) & (frame["of"] > 0)]
    if tasks is not None:
        counted = counted.loc[counted["subject"].isin(tasks)]
    broken, first = [], date.fromisoformat(since)
    for (task, value), one in counted.groupby(["subject", "value"]):
        days, hits, of = one["day"].tolist(), one["rows"].to_numpy(float), one["of"].to_numpy(float)
        usual = _usual_rates(days, hits / of, trailing) * of
        for start, stop in _runs(hits <= _NEARLY_NONE * usual):
            lost, count = usual[start:stop].sum(), hits[start:stop].sum()
            if days[stop - 1] >= first and poisson.logcdf(count, lost) <= -expected:
                when = str(days[start]) if stop - start == 1 else f"{days[start]} to {days[stop - 1]}"
                what = f"{value} of {task}" if statistic == m.NEGATIVES else f"positive {task}"
                what = f"{count:,.0f} {what}" if count else f"no {what}"
                what += f" where {value}" if statistic == m.NEGATIVES_OF_PART else ""
                rows = int(of[start:stop].sum())
                broken.append((str(task), f"{when}: {what} in {rows:,} rows, {lost:,.0f} were expected"))
    evaluated = sorted(set(counted["subject"]))
    return RuleResult(evaluated, broken, "on no day" if evaluated else "no negative or safety task is read")


def _usual_rates(days: Sequence[date], rates: Floats, trailing: int) -> Floats:
    """Return the usual rate of each day: the smaller of two medians, so that no burst raises it.

    One median is over the days of the same weekday, the other over all days with an outcome. Both use the
    trailing days or, if these lack the weekday, the whole log.
    """
    weekdays, numbers = np.array([day.weekday() for day in days]), np.array([day.toordinal() for day in days])
    usual = np.zeros(len(days))
    for n in range(len(days)):
        others = rates > 0
        alike = weekdays == weekdays[n]
        alike[n] = False
        before = (numbers < numbers[n]) & (numbers >= numbers[n] - trailing)
        near = before if (before & alike).any() else np.ones(len(days), dtype=bool)
        if (others & near).any():
            same = near & alike if (near & alike).any() else near & others
            usual[n] = min(np.median(rates[same]), np.median(rates[near & others]))
    return usual


def _usual_of_all(weekday: int, rows: Floats, weekdays: npt.NDArray[np.int_], *, any_day: bool) -> float:
    """Return the usual number for a weekday over all days: its own, else of weekends or of working days."""
    for alike in (weekdays == weekday, (weekdays >= _SATURDAY) == (weekday >= _SATURDAY)):
        if alike.any():
            return float(np.median(rows[alike]))
    return float(np.median(rows)) if any_day else 0.0


def _compare(
    counted: pd.DataFrame,
    scale: _CountScale,
    comparison: Comparison,
    differs: Differs,
    *,
    shared: bool = True,
) -> RuleResult:
    """Evaluate each series of the counted days; ``shared`` divides the false alarm rate by all figures."""
    newest = comparison.newest
    series = dict(list(counted.groupby(["subject", "value"], sort=False)))
    figures = sum(min(newest or len(one), len(one)) for one in series.values())
    rate = comparison.false_alarm_rate / (max(figures, 1) if shared else 1)
    broken, lines, evaluated = [], [], 0
    for (subject, value), one in series.items():
        days, (level, noise) = one["day"].tolist(), scale.levels(one)
        usual = t.usual_levels(days, level, noise, trailing=comparison.trailing, false_alarm_rate=rate)
        values, middle, low, high = map(scale.figures, (level, usual.middle, usual.low, usual.high))
        outside = ((level < usual.low) | (level > usual.high)) & differs(values, middle)
        outside[: max(len(days) - newest, 0) if newest else 0] = False
        odd = [days[n] for n in np.flatnonzero(outside)]
        evaluated += int(np.isfinite(usual.low[-newest:] if newest else usual.low).sum())
        known, least, most = map(t.none_for_nan, (values, low, high))
        line = DayLine(str(subject), days, known, least, most, scale is _SHARES, odd, str(value))
        for n in np.flatnonzero(outside):
            written = [scale.written(figure[n]) for figure in (values, low, high)]
            broken.append((line.title, "{} {}: {}, usual {} to {}".format(line.title, days[n], *written)))
        lines.append(line)
    holds = f"{figures:,} figures of {len(series)} series, none outside of its interval"
    if evaluated < figures:
        holds = f"{evaluated:,} of {holds}: too few days precede the others" if evaluated else _NOT_JUDGED
    return RuleResult([line.title for line in lines], broken, holds, lines)


def _whole_days(frame: pd.DataFrame, statistic: str, as_of: str, *, grace_days: int = 0) -> pd.DataFrame:
    """Return a statistic's rows of complete days, except the newest days of the grace period."""
    rows, last = frame.loc[frame["statistic"] == statistic], m.last_whole_day(as_of) - grace_days * _DAY
    return rows.loc[np.array([day <= last for day in rows["day"]], dtype=bool)]


def _drop_immature(frame: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """Remove the days of a task that have an immature label, and the share of immature labels."""
    immature = frame[
        (frame["statistic"] == m.STATUS) & (frame["value"] == Status.IMMATURE) & (frame["rows"] > 0)
    ]
    young = set(zip(immature["subject"], immature["day"], strict=True))
    rows = zip(counted["subject"], counted["day"], counted["value"], strict=True)
    mature = [(task, day) not in young and value != Status.IMMATURE for task, day, value in rows]
    return counted.loc[np.array(mature, dtype=bool)]


def check_values(
    frame: pd.DataFrame, *, columns: Sequence[str], as_of: str, trailing: int, newest: int, share: float
) -> RuleResult:
    """Find values of at least a minimum share of the rows that vanished or appeared.

    A vanished value occurs on each trailing day and on none of the newest days; an appeared value the other
    way round. It is reported if the share amounts to twenty rows, and after seven trailing days.
    """
    broken: list[tuple[str, str]] = []
    for name in columns:
        days, values, counts = _table(frame, name, as_of)
        now, before = counts[-newest:], counts[-newest - trailing : -newest]
        if len(before) < _ENOUGH_DAYS:
            continue
        new, old = (part.sum(axis=0) / max(part.sum(), 1) for part in (now, before))
        least, since = max(share, _ENOUGH_ROWS / max(now.sum(), 1)), days[-newest]
        always, never = (before > 0).all(axis=0), (before == 0).all(axis=0)
        broken += [
            (name, f"{name} '{values[n]}' vanished on {since}: {old[n]:.1%} before")
            for n in np.flatnonzero(always & (new == 0) & (old >= least))
        ]
        broken += [
            (name, f"{name} '{values[n]}' appeared on {since}: {new[n]:.1%}")
            for n in np.flatnonzero(never & (new >= least))
        ]
    return RuleResult(list(columns), broken, f"{len(columns)} segments, no value vanished or appeared")


def compare_distributions(frame: pd.DataFrame, comparison: Comparison, *, least: float) -> RuleResult:
    """Find columns whose distribution differs from the days before, by a minimum number of bits.

    The Jensen-Shannon divergence of a day from its trailing days is compared with the maximum divergence of
    those days from each other, or with the divergence by chance for so few rows, whichever is larger.
    """
    names = frame.loc[frame["statistic"] == m.VALUES, "subject"].unique().tolist()
    newest = comparison.newest or frame["day"].nunique()
    rate = comparison.false_alarm_rate / max(1, newest * len(names))
    broken, lines = [], []
    for name in names:
        days, _, counts = _table(frame, name, comparison.as_of)
        own, usual = t.usual_divergences(counts, trailing=comparison.trailing, false_alarm_rate=rate)
        odd = [n for n in range(max(0, len(days) - newest), len(days)) if own[n] >= usual[n] + least]
        broken += [
            (name, f"{name} {days[n]}: {own[n]:.3g} bits away, usual up to {usual[n]:.3g}") for n in odd
        ]
        values, low, high = t.none_for_nan(own), [0.0] * len(days), t.none_for_nan(usual)
        lines.append(DayLine(name, days, values, low, high, share=False, odd=[days[n] for n in odd]))
    return RuleResult(names, broken, f"{len(names)} distributions, none further away than usual", lines)


def _table(frame: pd.DataFrame, name: str, as_of: str) -> tuple[list[date], list[str], Floats]:
    """Return the complete days and the values of a column, and their counts of shape (days, values)."""
    last = m.last_whole_day(as_of)
    rows = frame.loc[(frame["statistic"] == m.VALUES) & (frame["subject"] == name)]
    wide = rows.pivot_table(index="day", columns="value", values="rows", fill_value=0, aggfunc="sum")
    wide = wide.loc[np.array([day <= last for day in wide.index], dtype=bool)]
    return wide.index.tolist(), [str(value) for value in wide.columns], wide.to_numpy(float)
