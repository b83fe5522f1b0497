"""Figures of a day's traffic that need no outcome: how many impressions, what was predicted, and the mix.

::

    rows               impressions of the day
    mean_prediction    mean of the served predictions of a task
    share              of the impressions in each value of each declared segment
"""

from collections.abc import Iterator

import numpy as np

from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.clustered import Ratio, RowClusters, clustered_interval
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import ALL, Subject
from tasks.monitoring.series import count_rows
from tasks.monitoring.traffic import LoggedTraffic


def measure_serving(traffic: LoggedTraffic, rows: Flags) -> Iterator[Figure]:
    """Yield the figures of the marked rows, those of a day."""
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
        for code in np.unique(codes):  # of values that the day has: what is read with it changes no figure
            subject = Subject("share", column=name, value=str(values.categories[code]))
            yield mean_figure(subject, (codes == code).astype(float), users)


def mean_figure(subject: Subject, values: Floats, users: Indices) -> Figure:
    """Return the mean of values [n] with its interval by users, as a figure of all rows."""
    return ratio_figure(subject, Ratio(values, np.ones(len(values))), users)


def ratio_figure(subject: Subject, ratio: Ratio, users: Indices) -> Figure:
    """Return a ratio over rows [n] with its interval by users, as a figure of all rows."""
    n, nothing = len(users), np.zeros(len(users), dtype=np.intp)
    seen = clustered_interval(ratio.statistic, RowClusters(users, nothing, nothing))
    events = int(np.count_nonzero(ratio.numerator))
    return Figure(subject, ALL, seen.value, seen.low, seen.high, seen.n, n, events)
