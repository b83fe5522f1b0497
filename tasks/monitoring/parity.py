"""Whether releases served what they predict of the logged features, on a hundred requests a day.

::

    served_difference             share of logged predictions that the release does not give again
    served_difference, feature    share of these that it gives where the feature is missing

Serving read a feature as missing, or another value than the log holds, where the two differ. The feature that
is named is the first by gain whose absence explains at least half of the differences.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import Subject
from tasks.monitoring.serving import mean_figure
from tasks.monitoring.traffic import LoggedTraffic, draw_requests
from tasks.release.inputs import gains_of
from tasks.replay.shadow_verdicts import TOLERANCE

_EXPLAINED: Final = 0.5


def measure_parity(traffic: LoggedTraffic, rows: Flags) -> Iterator[Figure]:
    """Yield the figures of the marked rows, those of a day."""
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
    """Yield the feature without which the release that served most of the rows gives what was logged."""
    version = np.bincount(traffic.served_by[rows].astype(int)).argmax()
    own = rows[traffic.served_by[rows] == version]
    release = traffic.releases.find(int(version))
    heads = {head.task: head for head in release.heads} if release else {}
    frame = traffic.frame.iloc[own]
    for feature, gain in gains_of(heads[task]).items():
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
