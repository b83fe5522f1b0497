"""Rules on how values are spread: no value goes or comes, no distribution moves away.

Each of the newest whole days is held against the days before it together.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from tasks.validation import measurements as m
from tasks.validation import trailing as t
from tasks.validation.judged import Judged, Line

_ENOUGH_DAYS = 7
_ENOUGH_ROWS = 20


def values_stay(
    frame: pd.DataFrame, *, columns: Sequence[str], as_of: str, trailing: int, newest: int, share: float
) -> Judged:
    """Find values of at least a share of the rows that vanished or appeared.

    Vanished: there on each of the trailing days, and on none of the newest ones. Appeared: the other way
    round. Either is said where the share makes twenty rows, and after seven trailing days.
    """
    broken: list[tuple[str, str]] = []
    for name in columns:
        days, values, counts = _table(frame, name, as_of)
        now, before = counts[-newest:], counts[-newest - trailing : -newest]
        if len(before) < _ENOUGH_DAYS:
            continue
        new, old = (days_of.sum(axis=0) / max(days_of.sum(), 1) for days_of in (now, before))
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
    return Judged(list(columns), broken, f"{len(columns)} segments, no value vanished or appeared")


def distributions_stay(
    frame: pd.DataFrame, *, as_of: str, trailing: int, newest: int, doubt: float, least: float
) -> Judged:
    """Find columns whose values are spread otherwise than on the days before, by at least so many bits.

    The Jensen-Shannon divergence of a day from its trailing days is held against the greatest of those days
    from the others; or against what chance gives so few rows, where that is more.
    """
    names = frame.loc[frame["statistic"] == m.VALUES, "subject"].unique().tolist()
    broken: list[tuple[str, str]] = []
    lines = []
    for name in names:
        days, _, counts = _table(frame, name, as_of)
        own, usual = t.usual_divergences(counts, trailing=trailing, doubt=doubt / max(1, newest * len(names)))
        found = [n for n in range(max(0, len(days) - newest), len(days)) if own[n] >= usual[n] + least]
        broken += [
            (name, f"{name} {days[n]}: {own[n]:.3f} bits away, usual up to {usual[n]:.3f}") for n in found
        ]
        lines.append(
            Line(name, days, _plain(own), [0.0] * len(days), _plain(usual), False, [days[n] for n in found])
        )
    return Judged(names, broken, f"{len(names)} distributions, none further away than usual", lines)


def _table(frame: pd.DataFrame, name: str, as_of: str) -> tuple[list[date], list[str], t.Floats]:
    """Return the whole days and the values of a column, and their counts of shape (days, values)."""
    last = (datetime.fromisoformat(as_of) - timedelta(days=1)).date()
    rows = frame.loc[(frame["statistic"] == m.VALUES) & (frame["subject"] == name)]
    wide = rows.pivot_table(index="day", columns="value", values="rows", fill_value=0, aggfunc="sum")
    wide = wide.loc[np.array([day <= last for day in wide.index], dtype=bool)]
    return wide.index.tolist(), [str(v) for v in wide.columns], wide.to_numpy(float)


def _plain(figures: t.Floats) -> list[float | None]:
    return [None if np.isnan(figure) else float(figure) for figure in figures]
