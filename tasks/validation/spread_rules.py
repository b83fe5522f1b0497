"""Rules on how values are distributed: no value vanishes or appears, no distribution moves away.

Each of the newest whole days is compared with the days before it together.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from tasks.validation import measurements as m
from tasks.validation import trailing as t
from tasks.validation.findings import Judgement, Line
from tasks.validation.trailing import Comparison

_ENOUGH_DAYS = 7
_ENOUGH_ROWS = 20


def check_values(
    frame: pd.DataFrame, *, columns: Sequence[str], as_of: str, trailing: int, newest: int, share: float
) -> Judgement:
    """Find values of at least a share of the rows that vanished or appeared.

    Vanished: there on each of the trailing days, and on none of the newest ones. Appeared: the other way
    round. Either is reported where the share makes twenty rows, and after seven trailing days.
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
    return Judgement(list(columns), broken, f"{len(columns)} segments, no value vanished or appeared")


def compare_distributions(frame: pd.DataFrame, comparison: Comparison, *, least: float) -> Judgement:
    """Find columns whose values are distributed otherwise than on the days before, by at least so many bits.

    The Jensen-Shannon divergence of a day from its trailing days is compared with the greatest of those days
    from the others; or with what chance gives so few rows, where that is more.
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
        lines.append(Line(name, days, values, low, high, share=False, odd=[days[n] for n in odd]))
    return Judgement(names, broken, f"{len(names)} distributions, none further away than usual", lines)


def _table(frame: pd.DataFrame, name: str, as_of: str) -> tuple[list[date], list[str], t.Floats]:
    """Return the whole days and the values of a column, and their counts of shape (days, values)."""
    last = m.last_whole_day(as_of)
    rows = frame.loc[(frame["statistic"] == m.VALUES) & (frame["subject"] == name)]
    wide = rows.pivot_table(index="day", columns="value", values="rows", fill_value=0, aggfunc="sum")
    wide = wide.loc[np.array([day <= last for day in wide.index], dtype=bool)]
    return wide.index.tolist(), [str(value) for value in wide.columns], wide.to_numpy(float)
