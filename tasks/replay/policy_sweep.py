"""Many weight vectors on the same candidates in one pass: what stands at each slot, as sums that merge.

::

    terms [n, T], weights [P, T]  ->  scores of a block of requests  ->  its k best, by policy
    values [n, J]                 ->  sums [P, k, J]: each value at each slot, over the requests

Whatever is a sum over slots is a discount away: `at_discounts` with the examination of the slots gives looks,
predicted outcomes, a column's mix and the terms of the utility; with 1 / log2(1 + slot), and gains divided by
their request's ideal, NDCG. A block of requests is held at a time, so memory does not grow with the log, and
sums of parts of a log add up to those of the whole.

This is the order of the weighted sum alone, without floors that depend on a context, tiers and slate rules:
`tasks.ranking.decide` decides. A sort of packed keys is the fastest way found with numpy: the place of a
candidate is written into the lowest bits of its score, so values are sorted and no indices are carried along
(``benchmarks/policy_sweep.py``).

`tune` does not ask it: each trial starts from what the trials before have shown, so there are never many
weights to rank at once, and its figures need each user's part of a sum. It tells the truth beside a tuning
(``benchmarks/tuning.py``), where thousands of weights are ranked to find the best ones.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from tasks.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_CELLS: Final = 1 << 17
"""Scores held at once by a thread: 1 MB, which a processor's cache holds."""
_POLICIES: Final = 256
"""Policies of a block at most, so that a block has several requests."""
_LAST: Final = 1e300
"""The key of what may not be ranked: behind every score, and finite, since its lowest bits are rewritten."""


@dataclass(frozen=True)
class SweptCandidates:
    """Candidates in the order of their requests.

    Attributes
    ----------
    terms : what each term of the utility adds at a weight of 1, shape (n, T).
    values : what is summed over the slots, shape (n, J).
    starts : first row of each request, and n at the end, shape (R + 1,); no request is empty.
    kept : rows that may be ranked, shape (n,); the others fill no slot.
    """

    terms: Floats
    values: Floats
    starts: Ints
    kept: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.terms).all() or not np.isfinite(self.values).all():
            raise DataError("A term or value of the candidates is not finite: nothing can be ranked by it")
        if len(self.terms) != len(self.values) or self.starts[-1] != len(self.terms):
            raise DataError("Terms, values and requests speak of different numbers of candidates")
        if (np.diff(self.starts) <= 0).any():
            raise DataError("A request without candidates has no slots to fill")

    @classmethod
    def of(cls, requests: Ints, terms: Floats, values: Floats) -> "SweptCandidates":
        """Put rows in the order of their requests; rows of one request keep theirs.

        Parameters
        ----------
        requests : [n] codes, each from 0 on used.
        terms, values : [n, T], [n, J].
        """
        order = np.argsort(requests, kind="stable")
        starts = np.r_[0, np.cumsum(np.bincount(requests))].astype(np.int64)
        return cls(terms[order], values[order], starts)

    @property
    def requests(self) -> int:
        """Number of requests."""
        return len(self.starts) - 1


@dataclass(frozen=True)
class SlotSums:
    """Sums over requests of what each policy has at each slot.

    Attributes
    ----------
    values : [P, k, J].
    filled : requests that fill each slot, shape (P, k).
    requests : how many there were.
    """

    values: Floats
    filled: Floats
    requests: int

    def __add__(self, other: "SlotSums") -> "SlotSums":
        """Add the sums of other requests."""
        return SlotSums(
            self.values + other.values, self.filled + other.filled, self.requests + other.requests
        )

    def at_discounts(self, discounts: Floats) -> Floats:
        """Return the sum over slots of discount x value, shape [P, J]; ``discounts`` has shape [k]."""
        return np.asarray(np.einsum("pkj,k->pj", self.values, discounts))

    def per_look(self, looks: Floats) -> Floats:
        """Return each value's mean over looks, shape [P, J]; ``looks`` [k] is how much a slot is examined."""
        return self.at_discounts(looks) / (self.filled @ looks)[:, None]


def sweep_policies(candidates: SweptCandidates, weights: Floats, *, slots: int, threads: int = 2) -> SlotSums:
    """Rank every request by every weight vector and sum what stands at each slot.

    Parameters
    ----------
    candidates : n rows of R requests.
    weights : [P, T].
    slots : k, the slots of a request; a request with fewer candidates leaves the others empty.
    threads : blocks that are worked on at the same time.

    Notes
    -----
    With candidate sets of up to 2^b rows, scores that agree in their first 52 - b bits are tied, and ties go
    to the earlier row.

    Examples
    --------
    >>> terms, value = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[5.0], [7.0]])
    >>> both = SweptCandidates(terms, value, np.array([0, 2]))
    >>> sweep_policies(both, np.array([[1.0, 0.0], [0.0, 1.0]]), slots=2).values[:, :, 0].tolist()
    [[5.0, 7.0], [7.0, 5.0]]
    """
    if not np.isfinite(weights).all():
        raise DataError("A weight is not finite: nothing can be ranked by it")
    rank = partial(_rank_block, candidates, np.asarray(weights, dtype=np.float64), slots)
    policies, width = len(weights), candidates.values.shape[1]
    total = SlotSums(np.zeros((policies, slots, width)), np.zeros((policies, slots)), candidates.requests)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for part, values, filled in pool.map(rank, list(_blocks(candidates.starts, policies))):
            total.values[part] += values
            total.filled[part] += filled
    return total


_Block = tuple[slice, slice]


def _blocks(starts: Ints, policies: int) -> Iterator[_Block]:
    """Yield a part of the policies with a part of the requests, small enough for the cache."""
    longest = int(np.diff(starts).max())
    together = min(policies, _POLICIES)
    size = max(1, _CELLS // (together * longest))
    for first in range(0, len(starts) - 1, size):
        requests = slice(first, min(first + size, len(starts) - 1))
        for one in range(0, policies, together):
            yield slice(one, min(one + together, policies)), requests


def _rank_block(
    candidates: SweptCandidates, weights: Floats, slots: int, block: _Block
) -> tuple[slice, Floats, Floats]:
    """Return the policies of a block with their sums [p, k, J] and how many requests filled a slot [p, k]."""
    part, requests = block
    places, valid = _padded(candidates, requests)
    terms, values = candidates.terms[places], candidates.values[places]
    if not valid.all():
        values[~valid] = 0.0
    keys = np.matmul(-weights[part], terms.reshape(-1, terms.shape[-1]).T)
    keys = keys.reshape(-1, *places.shape)
    if not valid.all():
        keys[:, ~valid] = _LAST
    chosen = _best_first(keys, min(slots, places.shape[1]))
    sums = np.zeros((len(keys), slots, values.shape[-1]))
    filled = np.zeros((len(keys), slots))
    chosen += (np.arange(places.shape[0]) * places.shape[1])[:, None]
    rows = values.reshape(-1, values.shape[-1])
    k = chosen.shape[-1]
    sums[:, :k] = rows.take(chosen, axis=0, mode="clip").sum(axis=1)
    filled[:, :k] = (valid.sum(axis=1)[:, None] > np.arange(k)).sum(axis=0)
    return part, sums, filled


def _padded(candidates: SweptCandidates, requests: slice) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return the rows of some requests as a matrix, and which of its cells may be ranked."""
    starts = candidates.starts[requests.start : requests.stop + 1]
    sizes = np.diff(starts)
    offsets = np.arange(int(sizes.max()))
    valid = offsets < sizes[:, None]
    places = np.where(valid, starts[:-1, None] + offsets, starts[:-1, None])
    return places, valid if candidates.kept is None else valid & candidates.kept[places]


def _best_first(keys: Floats, k: int) -> Ints:
    """Return the places of the k least keys along the last axis, in their order; the keys are overwritten.

    The lowest bits of a key become the candidate's place, turned round in a negative one, whose bits grow
    with its size: so ties go to the earlier place.
    """
    size = keys.shape[-1]
    mask = (1 << max(1, (size - 1).bit_length())) - 1
    bits = keys.view(np.int64)
    places = (bits >> 63) & mask
    places ^= np.arange(size)
    bits &= ~mask
    bits |= places
    keys.sort(axis=-1)
    best = bits[..., :k]
    return np.asarray((best ^ (best >> 63)) & mask)
