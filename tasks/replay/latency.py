"""How long requests took that a release served: the 99th percentile, with an interval by user and day.

::

    latency_ms   of a request, in the log          release   which release served it
    value        least latency that 99 % of the release's requests did not exceed
    interval     of the share of requests up to the value, by user and by day; its ends read as percentiles

The interval is Woodruff's (1952), "Confidence Intervals for Medians and Other Position Measures". The change
is that of two samples: requests that the release and its baseline served are others.
"""

import math
from typing import Final

import numpy as np

from tasks.contracts.metrics import Metric, MetricKind
from tasks.evaluation.clustered import Ratio, RowClusters, clustered_interval
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.segments import ALL
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate
from tasks.replay.log import CandidateLog, Floats, Ints, Slates

_SHARE: Final = 0.99


def measure_latency(log: CandidateLog, policy: Slates, baseline: Slates) -> Measured:
    """Measure the latency of the requests that a release, and its baseline, served."""
    ours, theirs = (_percentile(log, slates) for slates in (policy, baseline))
    found = _row(policy, None, None, f"no request of the log says that {policy.name} served it")
    return found if ours is None else _row(policy, ours, theirs, "")


def _row(policy: Slates, ours: Estimate | None, theirs: Estimate | None, reason: str) -> Measured:
    change = None if ours is None or theirs is None else _change(ours, theirs)
    subject = Subject.of(Metric(MetricKind.LATENCY))
    return Measured(subject, ALL, policy.name, ours, theirs, change, reason=reason)


def _percentile(log: CandidateLog, slates: Slates) -> Estimate | None:
    """Return the percentile of a release's requests; None where it served none."""
    if log.latency is None or log.served_by is None or slates.release is None:
        return None
    served = np.flatnonzero((log.served_by == slates.release) & np.isfinite(log.latency))
    if not len(served):
        return None
    _, first = np.unique(log.requests[served], return_index=True)
    rows = served[first]
    return percentile_estimate(log.latency[rows], log.users[rows], log.days[rows])


def percentile_estimate(values: Floats, users: Ints, days: Ints) -> Estimate:
    """Return the 99th percentile of values with an interval that lets users and days move together.

    An end beyond the greatest or below the least value is unknown, and so is the interval then.

    Examples
    --------
    >>> each = np.arange(2000)
    >>> found = percentile_estimate(each + 1.0, each, each % 7)
    >>> found.value, found.low < 1980 < found.high < 2000
    (1980.0, True)
    """
    ordered = np.sort(values)
    value = float(_at(ordered, _SHARE))
    below = Ratio((values <= value).astype(float), np.ones(len(values)))
    share = clustered_interval(below.statistic, RowClusters(users, np.arange(len(values)), days))
    if not share.known or share.high >= 1.0 or share.low <= 0.0:
        return Estimate(value, math.nan, math.nan, share.n)
    return Estimate(value, _at(ordered, share.low), _at(ordered, share.high), share.n)


def _at(ordered: Floats, share: float) -> float:
    """Return the least value that such a share of all values does not exceed."""
    place = math.ceil(round(share * len(ordered), 9)) - 1
    return float(ordered[min(max(place, 0), len(ordered) - 1)])


def _change(ours: Estimate, theirs: Estimate) -> Estimate:
    """Return the relative change of two independent percentiles, by the logarithm of their ratio."""
    if not theirs.value > 0:
        return UNKNOWN_ESTIMATE
    ratio, n = ours.value / theirs.value, min(ours.n, theirs.n)
    if not (ours.known and theirs.known and min(ours.low, theirs.low) > 0):
        return Estimate(ratio - 1, math.nan, math.nan, n)
    half = math.hypot(*(math.log(one.high / one.low) / 2 for one in (ours, theirs)))
    return Estimate(ratio - 1, ratio * math.exp(-half) - 1, ratio * math.exp(half) - 1, n)
