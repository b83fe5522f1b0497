"""How a challenger's slates depart from the champion's on the same candidates; no label is needed.

::

    overlap_at_k      mean over requests of |slate A and slate B| / slots of the larger one
    rank_correlation  mean over requests of Spearman's rho between the two utilities
    score_shift       |mean utility A - mean utility B| in standard deviations of the champion's utility
"""

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.errors import DataError
from tasks.evaluation.intervals import mean_interval
from tasks.evaluation.replay_evidence import ShadowComparison
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.verdicts import Estimate

Floats = npt.NDArray[np.float64]


def compare(challenger: pd.DataFrame, champion: pd.DataFrame, users: pd.Series) -> ShadowComparison:
    """Compare two scored frames.

    Parameters
    ----------
    challenger, champion : n scored candidates each, with the same keys in the same order.
    users : the user of each row.

    Raises
    ------
    DataError
        The two frames hold different candidates.
    """
    keys = list(c.IMPRESSION_KEY)
    if not challenger[keys].reset_index(drop=True).equals(champion[keys].reset_index(drop=True)):
        raise DataError(
            "Champion and challenger were given different candidates; score the same rows with both"
        )
    requests = pd.factorize(challenger[c.REQUEST_ID])[0]
    user = cluster_rows(users.to_numpy(), challenger[c.REQUEST_ID].to_numpy()).codes
    request_user = np.zeros(requests.max(initial=-1) + 1, dtype=np.int64)
    request_user[requests] = user
    return ShadowComparison(
        requests=len(request_user),
        candidates=len(challenger),
        overlap_at_k=mean_interval(_overlap(requests, challenger, champion), request_user),
        rank_correlation=mean_interval(_rank_correlation(requests, challenger, champion), request_user),
        score_shift=_score_shift(challenger, champion, user),
    )


def _overlap(requests: npt.NDArray[np.intp], challenger: pd.DataFrame, champion: pd.DataFrame) -> Floats:
    """Return each request's overlap, NaN where both slates are empty."""
    ours, theirs = (frame[c.SLATE_POSITION].notna().to_numpy() for frame in (challenger, champion))
    slots = np.maximum(np.bincount(requests, ours), np.bincount(requests, theirs))
    both = np.bincount(requests, ours & theirs)
    return np.divide(both, slots, out=np.full(len(slots), np.nan), where=slots > 0)


def _rank_correlation(
    requests: npt.NDArray[np.intp], challenger: pd.DataFrame, champion: pd.DataFrame
) -> Floats:
    """Return each request's Spearman correlation over candidates that both score, NaN below two."""
    frame = pd.DataFrame({"request": requests, "a": challenger[c.UTILITY], "b": champion[c.UTILITY]})
    known = frame["a"].notna() & frame["b"].notna()
    ranks = frame[known].groupby("request")[["a", "b"]].rank()
    request = frame.loc[known, "request"].to_numpy()
    size = int(requests.max(initial=-1)) + 1
    centred = [_centred(request, ranks[name].to_numpy(), size) for name in ("a", "b")]
    products = [np.bincount(request, x * y, minlength=size) for x, y in _pairs(*centred)]
    spread = np.sqrt(products[1] * products[2])
    return np.divide(products[0], spread, out=np.full(size, np.nan), where=spread > 0)


def _pairs(a: Floats, b: Floats) -> tuple[tuple[Floats, Floats], ...]:
    return ((a, b), (a, a), (b, b))


def _centred(request: npt.NDArray[np.int64], ranks: Floats, size: int) -> Floats:
    counts = np.bincount(request, minlength=size)
    means = np.bincount(request, ranks, minlength=size) / np.maximum(counts, 1)
    return ranks - means[request]


def _score_shift(challenger: pd.DataFrame, champion: pd.DataFrame, users: npt.NDArray[np.int64]) -> Estimate:
    ours, theirs = (f[c.UTILITY].to_numpy(dtype=float, na_value=np.nan) for f in (challenger, champion))
    known = np.isfinite(ours) & np.isfinite(theirs)
    spread = float(np.std(theirs[known])) if known.any() else math.nan
    moved = mean_interval(np.where(known, ours - theirs, np.nan), users)
    if not spread > 0:
        return Estimate(math.nan, math.nan, math.nan, moved.n)
    low, high = sorted((moved.low / spread, moved.high / spread))
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return Estimate(abs(moved.value) / spread, nearest, max(abs(low), abs(high)), moved.n)
