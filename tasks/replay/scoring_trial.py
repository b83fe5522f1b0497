"""How two releases score requests one at a time, as a server does: who answers, and how long it takes.

::

    requests of the day, evenly spread          each scored alone, challenger and champion in alternation
    failed    raises, leaves a kept candidate without a finite utility, or fills no slot
    time      of a request the shorter of its repetitions; the ratio of each pair, and their median

The interval of the median is that of order statistics (Conover 1999, section 3.2): it assumes nothing about
how times are spread. Whether a release answers follows from its bytes and the log; how long it took does not.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom

from tasks import columns as c
from tasks.evaluation.replay_evidence import ScoringFailures, ScoringTimes
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate

Score = Callable[[pd.DataFrame], pd.DataFrame]
"""Scores the candidates of whole requests."""
ALONE: Final = 12
"""Requests that are scored alone."""
_REPETITIONS: Final = 2
_TAIL: Final = 0.025


def sample_requests(candidates: pd.DataFrame, most: int = ALONE) -> list[pd.DataFrame]:
    """Return whole requests, evenly spread over those of a frame in their order.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": list("aabccd")})
    >>> [list(one["request_id"]) for one in sample_requests(frame, most=2)]
    [['a', 'a'], ['d']]
    """
    names = candidates[c.REQUEST_ID].drop_duplicates()
    places = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    chosen = names.iloc[places]
    groups = candidates[candidates[c.REQUEST_ID].isin(chosen)].groupby(c.REQUEST_ID, sort=False)
    return [group for _, group in groups]


def count_failures(
    requests: Sequence[pd.DataFrame],
    scored: Sequence[pd.DataFrame],
    scores: Sequence[Score],
) -> ScoringFailures:
    """Count the requests that releases do not answer.

    Parameters
    ----------
    requests : scored alone here.
    scored : the whole day as the challenger and, where there is one, the champion scores it at once.
    scores : of the same releases.
    """
    day = [_unanswered(frame) for frame in scored]
    alone = [_raising(score, requests) for score in scores]
    empty = [_empty(frame) for frame in scored]
    failed = [
        len(names | raising.keys() | none) for names, raising, none in zip(day, alone, empty, strict=True)
    ]
    return ScoringFailures(
        requests=int(scored[0][c.REQUEST_ID].nunique()),
        alone=len(requests),
        challenger=failed[0],
        champion=failed[1] if len(failed) > 1 else None,
        example=next(iter(alone[0].values()), ""),
        empty=len(empty[0]),
        emptied_by=_emptied_by(scored[0], empty[0]),
    )


def time_scoring(
    requests: Sequence[pd.DataFrame],
    challenger: Score,
    champion: Score,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> ScoringTimes:
    """Time two releases on the same requests in alternation; the order of a pair changes each time.

    Parameters
    ----------
    clock : seconds from any instant on.
    """
    taken = np.full((2, len(requests)), np.inf)
    for turn in range(_REPETITIONS):
        for place, request in enumerate(requests):
            sides = [(0, challenger), (1, champion)]
            for side, score in sides if (turn + place) % 2 else reversed(sides):
                began = clock()
                score(request)
                taken[side, place] = min(taken[side, place], (clock() - began) * 1000)
    return ScoringTimes(
        requests=len(requests),
        candidates=sum(map(len, requests)),
        challenger_ms=median_estimate(taken[0]),
        champion_ms=median_estimate(taken[1]),
        ratio=median_estimate(taken[0] / taken[1]),
    )


def median_estimate(values: npt.NDArray[np.float64]) -> Estimate:
    """Return the median with an interval of at least 95 % by order statistics; unknown of fewer than six.

    Examples
    --------
    >>> median_estimate(np.arange(1.0, 13.0))
    Estimate(value=6.5, low=3.0, high=10.0, n=12)
    >>> median_estimate(np.array([1.0, 2.0])).known
    False
    """
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered):
        return UNKNOWN_ESTIMATE
    outside = int(binom.ppf(_TAIL, len(ordered), 0.5))  # so many values lie beyond each end
    value = float(np.median(ordered))
    if outside < 1:
        return Estimate(value, math.nan, math.nan, len(ordered))
    return Estimate(value, float(ordered[outside - 1]), float(ordered[-outside]), len(ordered))


def _unanswered(scored: pd.DataFrame) -> set[object]:
    """Name the requests of which a candidate that no constraint dropped has no finite utility."""
    kept = scored[c.DROPPED_BY].isna().to_numpy()
    lost = kept & ~np.isfinite(scored[c.UTILITY].to_numpy(dtype=float))
    return {*scored.loc[lost, c.REQUEST_ID]}


def _empty(scored: pd.DataFrame) -> set[object]:
    """Name the requests without any filled slot."""
    return {*scored[c.REQUEST_ID]} - {*scored.loc[scored[c.SLATE_POSITION].notna(), c.REQUEST_ID]}


def _emptied_by(scored: pd.DataFrame, requests: set[object]) -> str:
    """Name what drops most candidates of some requests; nothing where none is dropped."""
    dropped = scored.loc[scored[c.REQUEST_ID].isin(requests), c.DROPPED_BY].dropna()
    return "" if dropped.empty else str(dropped.mode().iloc[0])


def _raising(score: Score, requests: Sequence[pd.DataFrame]) -> dict[object, str]:
    """Return what was raised by request; whatever it is, that request got no answer."""
    raised = dict[object, str]()
    for request in requests:
        try:
            score(request)
        except Exception as error:  # noqa: BLE001  # it is counted, whatever it is
            raised[request[c.REQUEST_ID].iloc[0]] = f"{type(error).__name__}: {error}"
    return raised
