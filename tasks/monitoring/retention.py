"""Whether users come back, by the release that served them: a row is a user and a day.

::

    returned_share    share of a day's users who are back within the seven days after it
    return_days       mean of min(days until the return, 7), so that users who stay away count

A day is known once the seven days after it have ended. Intervals are by users.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.evaluation.subjects import Subject
from tasks.labels.snapshot import Snapshot
from tasks.monitoring.series import RETURNED, SeriesFigure
from tasks.monitoring.serving import mean_figure
from tasks.sql import expressions as x

_DAY: Final = timedelta(days=1)
_WITHIN: Final = 7


def read_retention(snapshot: Snapshot, *, known_by: datetime, stored: set[date]) -> Iterator[SeriesFigure]:
    """Yield the figures of the days that are known and not stored, and of the weeks that they end."""
    last = (known_by - _DAY).date()
    pending = [day for day in snapshot.build().days if day not in stored and day <= last - _WITHIN * _DAY]
    if not pending or c.USER_ID not in snapshot.schema().names:
        return
    visits = _read_visits(snapshot, min(pending) - (_WITHIN - 1) * _DAY, last)
    for day in sorted(pending):
        yield from _measure(visits, day, 1)
        if day.weekday() == _WITHIN - 1:
            yield from _measure(visits, day, _WITHIN)


def _read_visits(snapshot: Snapshot, first: date, last: date) -> pd.DataFrame:
    """Return each user's days with the releases that served, and the days until the next, by day."""
    names = [c.DAY, c.USER_ID, *(name for name in (c.RELEASE,) if name in snapshot.schema().names)]
    found = snapshot.query(x.select(x.columns(names), x.table("rows"), group=x.columns(names)), first, last)
    visits = pd.DataFrame() if found is None else found.to_pandas().dropna(subset=[c.USER_ID])
    if visits.empty:
        return visits.reindex(columns=["day", "user", "release", "wait"])
    days = visits[c.DAY].to_numpy(dtype="datetime64[D]").astype(np.int64)
    users = pd.factorize(visits[c.USER_ID])[0]
    release = pd.to_numeric(visits[c.RELEASE], errors="coerce") if c.RELEASE in visits else np.nan
    rows = pd.DataFrame({"day": days, "user": users, "release": release})
    once = rows[["user", "day"]].drop_duplicates().sort_values(["user", "day"])
    once["wait"] = once.groupby("user")["day"].shift(-1) - once["day"]
    return rows.merge(once, on=["user", "day"]).sort_values("day", kind="stable")


def _measure(visits: pd.DataFrame, day: date, days: int) -> Iterator[SeriesFigure]:
    end = int(np.datetime64(day, "D").astype(np.int64))
    within = visits.iloc[slice(*np.searchsorted(visits["day"], [end - days + 1, end + 1]))]
    groups: list[tuple[int | None, pd.DataFrame]] = [(None, within.drop_duplicates(["user", "day"]))]
    versions = within["release"].dropna().unique()
    groups += [(int(version), within[within["release"] == version]) for version in np.sort(versions)]
    for release, own in groups:
        if len(own):
            users, wait = own["user"].to_numpy(), own["wait"].fillna(np.inf).to_numpy(np.float64)
            back = (wait <= _WITHIN).astype(np.float64)
            yield SeriesFigure(day, days, release, mean_figure(Subject(RETURNED), back, users))
            capped = np.minimum(wait, _WITHIN)
            yield SeriesFigure(day, days, release, mean_figure(Subject("return_days"), capped, users))
