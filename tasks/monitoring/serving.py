"""Daily figures of traffic that need no outcomes: impressions, predictions and shares of segments.

::

    rows               impressions of the day
    mean_prediction    mean of the served predictions of a task
    share              share of impressions with each value of each declared segment

Comparison of logged predictions with those recomputed from the logged features, on a hundred requests a day::

    served_difference             share of logged predictions that the release does not reproduce
    served_difference, feature    share of these that it reproduces if the feature is missing

If they differ, serving read a feature as missing, or another value than the log has. The reported feature is
the first by gain whose absence explains at least half of the differences.

Distance of features from the champion's train days, as Jensen-Shannon divergence in bits::

    feature_distance, feature    of a day from the train days of the head with the largest gain of the feature
    feature_distance, task       mean over the features of a head, weighted by gain
    high                         the greatest between two train days, or the value by chance, plus .05 bits

Features with less than .01 of a head's gain have no series. Only days after the train days are compared.

Returning users by the release that served them; a row is a user and a day::

    returned_share    share of a day's users who return within the next seven days
    return_days       mean of min(days until the return, 7), which includes users who do not return

A day is known when the seven days after it have ended. Intervals are clustered by user.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices
from tasks.errors import DataError, StoreError
from tasks.evaluation.clustered import Ratio, RowClusters, clustered_interval
from tasks.evaluation.figures import Figure
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import ALL, Subject
from tasks.labels.snapshot import Snapshot
from tasks.logs.tables import to_frame
from tasks.monitoring.series import RETURNED, SeriesFigure, count_rows
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases, draw_requests
from tasks.release import inputs
from tasks.replay.shadow_verdicts import TOLERANCE
from tasks.sql import expressions as x


def measure_serving(traffic: LoggedTraffic, rows: Flags) -> Iterator[Figure]:
    """Yield the figures of the marked rows of a day."""
    n = int(rows.sum())
    yield count_rows("", n)
    if not n:
        return
    users = cluster_rows(traffic.users[rows]).codes
    for task, predictions in traffic.predictions.items():
        known = np.isfinite(own := predictions[rows])
        if known.any():
            yield mean_figure(Subject("mean_prediction", task=task), own[known], users[known])
    for name, values in traffic.segments.items():
        codes = np.asarray(values.codes)[rows]
        for code in np.unique(codes):  # only values of this day, so that other days do not change its figures
            subject = Subject("share", column=name, value=str(values.categories[code]))
            yield mean_figure(subject, (codes == code).astype(float), users)


def mean_figure(subject: Subject, values: Floats, users: Indices) -> Figure:
    """Return the mean of values [n] with its user-clustered interval, as a figure of all rows."""
    return ratio_figure(subject, Ratio(values, np.ones(len(values))), users)


def ratio_figure(subject: Subject, ratio: Ratio, users: Indices) -> Figure:
    """Return a ratio over rows [n] with its user-clustered interval, as a figure of all rows."""
    n, nothing = len(users), np.zeros(len(users), dtype=np.intp)
    seen = clustered_interval(ratio.statistic, RowClusters(users, nothing, nothing))
    events = int(np.count_nonzero(ratio.numerator))
    return Figure(subject, ALL, seen.value, seen.low, seen.high, seen.n, n, events)


_EXPLAINED: Final = 0.5


def measure_parity(traffic: LoggedTraffic, rows: Flags) -> Iterator[Figure]:
    """Yield the figures of the marked rows of a day."""
    logged = {task: traffic.logged(task) for task in traffic.workspace.contracts.tasks.trained}
    known = np.logical_or.reduce([np.isfinite(values) for values in logged.values()])
    served = np.flatnonzero(rows & known & np.isfinite(traffic.served_by))
    drawn = served[draw_requests(traffic.frame[c.REQUEST_ID].iloc[served])]
    made = traffic.releases.predict(traffic.frame.iloc[drawn], traffic.served_by[drawn])
    for task in (task for task in logged if task in made):
        gaps = np.abs(logged[task][drawn] - made[task])
        compared = drawn[np.isfinite(gaps)]
        if len(compared):
            differs = gaps[np.isfinite(gaps)] > TOLERANCE
            subject = Subject("served_difference", task=task)
            yield mean_figure(subject, differs.astype(np.float64), _users(traffic, compared))
            if differs.any():
                yield from _explain(traffic, task, compared[differs], logged[task])


def _explain(traffic: LoggedTraffic, task: str, rows: Indices, logged: Floats) -> Iterator[Figure]:
    """Yield the feature without which the release that served most rows reproduces the logged predictions."""
    version = np.bincount(traffic.served_by[rows].astype(int)).argmax()
    own = rows[traffic.served_by[rows] == version]
    release = traffic.releases.find(int(version))
    heads = {head.task: head for head in release.heads} if release else {}
    frame = traffic.frame.iloc[own]
    for feature, gain in inputs.gains_of(heads[task]).items():
        if not gain or feature not in frame:
            continue
        without = frame.assign(**{feature: frame[feature].mask(np.ones(len(own), dtype=bool))})
        made = traffic.releases.predict(without, traffic.served_by[own]).get(task, np.full(len(own), np.nan))
        explained = (np.abs(logged[own] - made) <= TOLERANCE).astype(np.float64)
        if explained.mean() >= _EXPLAINED:
            subject = Subject("served_difference", task=task, feature=feature)
            yield mean_figure(subject, explained, _users(traffic, own))
            return


def _users(traffic: LoggedTraffic, rows: Indices) -> Indices:
    return cluster_rows(traffic.users[rows]).codes


FEATURE_DISTANCE: Final = "feature_distance"
_LEAST_GAIN: Final = 0.01


def read_train_rows(snapshot: Snapshot, releases: ServingReleases) -> inputs.TrainRows | None:
    """Read the champion's train days; None without a champion, or if they are no longer available."""
    release = None if releases.champion is None else releases.find(releases.champion)
    if release is None:
        return None
    try:
        return inputs.TrainRows.read(snapshot, release.manifest, release.heads)
    except (DataError, StoreError, KeyError) as error:
        releases.notes[f"Features cannot be compared with the champion's train days. {error}"] = None
        return None


def measure_distances(
    trained: inputs.TrainRows, traffic: LoggedTraffic, days: Sequence[date]
) -> Iterator[tuple[date, Figure]]:
    """Yield the distances of some days of the traffic from the champion's train days."""
    later = [day for day in days if day > trained.last_day]
    rows = np.isin(traffic.days, np.array(later, dtype="datetime64[D]"))
    if not rows.any():
        return
    frame = traffic.frame[rows].assign(**{c.DAY: traffic.days[rows].astype(object)})
    for day, by_task in trained.distances(frame).items():
        best: dict[str, tuple[float, tuple[float, float]]] = {}
        for task, found in by_task.items():
            gains = {name: gain for name, gain in trained.gains[task].items() if name in found}
            for name, gain in gains.items():
                best[name] = max(best.get(name, (0.0, (np.nan, np.nan))), (gain, found[name]))
            if sum(gains.values()):
                own = [found[name] for name in gains]
                mean, high = np.average(own, axis=0, weights=[*gains.values()])
                yield day, _figure(Subject(FEATURE_DISTANCE, task=task), mean, high, int(rows.sum()))
        for name, (gain, (value, high)) in best.items():
            if gain >= _LEAST_GAIN:
                yield day, _figure(Subject(FEATURE_DISTANCE, feature=name), value, high, int(rows.sum()))


def _figure(subject: Subject, value: float, high: float, rows: int) -> Figure:
    return Figure(subject, ALL, float(value), np.nan, float(high), 0, rows, 0)


_DAY: Final = timedelta(days=1)
_WITHIN: Final = 7


def read_retention(snapshot: Snapshot, *, known_by: datetime, stored: set[date]) -> Iterator[SeriesFigure]:
    """Yield the figures of days that are known and not stored, and of the weeks that they complete."""
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
    """Return each user's days with the serving releases, and the days until the next visit, by day."""
    names = [c.DAY, c.USER_ID, *(name for name in (c.RELEASE,) if name in snapshot.schema().names)]
    found = snapshot.query(x.select(x.columns(names), x.table("rows"), group=x.columns(names)), first, last)
    visits = pd.DataFrame() if found is None else to_frame(found).dropna(subset=[c.USER_ID])
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
            yield SeriesFigure(day, mean_figure(Subject(RETURNED), back, users), days, release)
            capped = np.minimum(wait, _WITHIN)
            yield SeriesFigure(day, mean_figure(Subject("return_days"), capped, users), days, release)
