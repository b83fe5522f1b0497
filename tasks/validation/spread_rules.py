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

    Vanished: there on each of the trailing days, and on none of the newest ones though twenty rows were to be
    expected. Appeared: on none of the trailing days. Fewer than seven trailing days say nothing.
    """
    broken: list[tuple[str, str]] = []
    for name in columns:
        days, values, counts = _table(frame, name, as_of)
        now, before = counts[-newest:], counts[-newest - trailing : -newest]
        if len(before) < _ENOUGH_DAYS or not len(now):
            continue
        shares, was = now.sum(axis=0) / max(now.sum(), 1), before.sum(axis=0) / max(before.sum(), 1)
        since = days[-len(now)]
        for value, always, never, new, old in zip(
            values, (before > 0).all(axis=0), (before == 0).all(axis=0), shares, was, strict=True
        ):
            if always and new == 0 and old >= max(share, _ENOUGH_ROWS / max(now.sum(), 1)):
                broken.append((name, f"{name} '{value}' vanished on {since}: {old:.1%} before"))
            elif never and new >= share:
                broken.append((name, f"{name} '{value}' appeared on {since} or later: {new:.1%}"))
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


def _table(
    frame: pd.DataFrame, name: str, as_of: str
) -> tuple[list[date], list[str], t.Floats]:
    """Return the whole days and the values of a column, and their counts of shape (days, values)."""
    last = (datetime.fromisoformat(as_of) - timedelta(days=1)).date()
    rows = frame.loc[(frame["statistic"] == m.VALUES) & (frame["subject"] == name)]
    wide = rows.pivot_table(index="day", columns="value", values="rows", fill_value=0, aggfunc="sum")
    wide = wide[[day <= last for day in wide.index]]
    return wide.index.tolist(), [str(v) for v in wide.columns], wide.to_numpy(float)


def _plain(figures: t.Floats) -> list[float | None]:
    return [None if np.isnan(figure) else float(figure) for figure in figures]


