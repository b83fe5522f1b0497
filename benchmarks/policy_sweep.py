"""How fast many policies are ranked on the same candidates: ``python -m benchmarks.policy_sweep``.

A thousand weight vectors on a million candidates in requests of 20: utility, NDCG@10 of two tasks, expected
hides and reports, and the share of sponsored items, all over the first ten slots. A loop of numpy and pandas,
one policy at a time, is measured on the first few policies and compared with the sweep. Then NDCG@10
of a hundred thousand requests, compared with ranx where that is installed. The benchmark of
tuning ranks thousands of weights with the same kernel::

    terms [n, T], weights [P, T]  ->  scores of a block of requests  ->  its k best, by policy
    values [n, J]                 ->  sums [P, k, J]: each value at each slot, over the requests
"""

import argparse
import importlib
import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from tasks.errors import DataError
from tasks.evaluation.ranking_metrics import request_gains

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Result = TypeVar("Result")

SIZE: Final = 20
SLOTS: Final = 10
TERMS: Final = ("click", "purchase", "hide", "report")
RATES: Final = (0.08, 0.01, 0.01, 0.001)
POLICIES_OF_THE_LOOP: Final = 5
ALLOWED_SECONDS: Final = 60.0
ALLOWED_RATIO: Final = 20.0
ALLOWED_RANX: Final = 50.0
DISCOUNTS: Final = 1.0 / np.log2(np.arange(2, SLOTS + 2))


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
    summed : values that are summed over the slots, shape (n, J).
    starts : first row of each request, and n at the end, shape (R + 1,); no request is empty.
    """

    terms: Floats
    summed: Floats
    starts: Ints

    def __post_init__(self) -> None:
        if not np.isfinite(self.terms).all() or not np.isfinite(self.summed).all():
            raise DataError("A term or value of the candidates is not finite: nothing can be ranked by it")
        if len(self.terms) != len(self.summed) or self.starts[-1] != len(self.terms):
            raise DataError("Terms, values and requests speak of different numbers of candidates")
        if (np.diff(self.starts) <= 0).any():
            raise DataError("A request without candidates has no slots to fill")

    @property
    def requests(self) -> int:
        """Number of requests."""
        return len(self.starts) - 1


@dataclass(frozen=True)
class SlotSums:
    """Sums over requests of what each policy has at each slot.

    Attributes
    ----------
    sums : [P, k, J].
    filled : requests that fill each slot, shape (P, k).
    requests : how many there were.
    """

    sums: Floats
    filled: Floats
    requests: int

    def at_discounts(self, discounts: Floats) -> Floats:
        """Return the sum over slots of discount x value, shape [P, J]; ``discounts`` has shape [k]."""
        return np.asarray(np.einsum("pkj,k->pj", self.sums, discounts))

    def per_impression(self, examined: Floats) -> Floats:
        """Return each value's mean, shape [P, J], given each slot's probability of examination [k]."""
        return self.at_discounts(examined) / (self.filled @ examined)[:, None]


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
    >>> sweep_policies(both, np.array([[1.0, 0.0], [0.0, 1.0]]), slots=2).sums[:, :, 0].tolist()
    [[5.0, 7.0], [7.0, 5.0]]
    """
    if not np.isfinite(weights).all():
        raise DataError("A weight is not finite: nothing can be ranked by it")
    rank = partial(_rank_block, candidates, np.asarray(weights, dtype=np.float64), slots)
    policies, width = len(weights), candidates.summed.shape[1]
    total = SlotSums(np.zeros((policies, slots, width)), np.zeros((policies, slots)), candidates.requests)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        for part, values, filled in pool.map(rank, list(_blocks(candidates.starts, policies))):
            total.sums[part] += values
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
    terms, values = candidates.terms[places], candidates.summed[places]
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
    return places, valid


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


@dataclass(frozen=True)
class Log:
    """Candidates in requests of 20: predictions by term, outcomes of two tasks, what is sponsored."""

    predictions: Floats
    outcomes: Floats
    sponsored: Floats

    @property
    def requests(self) -> int:
        """Number of requests."""
        return len(self.sponsored) // SIZE


def make(candidates: int) -> Log:
    """Draw candidates of a feed."""
    random = np.random.default_rng(1)
    predictions = np.column_stack([random.beta(1.0, 1.0 / rate, candidates) for rate in RATES])
    outcomes = (random.random((candidates, 2)) < 5 * predictions[:, :2]).astype(np.float64)
    return Log(predictions, outcomes, (random.random(candidates) < 0.15).astype(np.float64))


def draw_weights(policies: int) -> Floats:
    """Draw weights of the terms' signs, over two orders of magnitude, shape [policies, 4]."""
    spread = np.exp(np.random.default_rng(2).uniform(-2.3, 2.3, (policies, len(TERMS))))
    return spread * np.array([0.4, 20.0, -3.0, -50.0])


def swept(log: Log, weights: Floats) -> Floats:
    """Return utility, both NDCGs, hides, reports and the sponsored share, shape [policies, 6]."""
    starts = np.arange(0, len(log.sponsored) + 1, SIZE)
    gains = _relative_gains(log)
    values = np.column_stack([log.predictions, gains, log.sponsored])
    sums = sweep_policies(SweptCandidates(log.predictions, values, starts), weights, slots=SLOTS)
    means = sums.per_impression(np.ones(SLOTS))
    ndcg = sums.at_discounts(DISCOUNTS)[:, 4:6] / (gains != 0).reshape(-1, SIZE, 2).any(axis=1).sum(axis=0)
    utility = (means[:, :4] * weights).sum(axis=1)
    return np.column_stack([utility, ndcg, means[:, 2], means[:, 3], means[:, 6]])


def _relative_gains(log: Log) -> Floats:
    """Return each outcome over its request's ideal discounted gain, so that NDCG is a sum."""
    by_request = log.outcomes.reshape(-1, SIZE, 2)
    ideal = np.einsum("rst,s->rt", -np.sort(-by_request, axis=1)[:, :SLOTS], DISCOUNTS)[:, None]
    relative = np.divide(by_request, ideal, out=np.zeros_like(by_request), where=ideal > 0)
    return np.asarray(relative.reshape(-1, 2))


def looped(log: Log, weights: Floats) -> Floats:
    """Return the same figures by numpy and a pandas group-by for each policy."""
    frame = pd.DataFrame(log.predictions, columns=list(TERMS))
    frame["request"] = np.repeat(np.arange(log.requests), SIZE)
    frame["clicked"], frame["bought"], frame["sponsored"] = *log.outcomes.T, log.sponsored
    rows = []
    for each in weights:
        frame["utility"] = log.predictions @ each
        frame["slot"] = frame.groupby("request")["utility"].rank(method="first", ascending=False)
        shown = frame[frame["slot"] <= SLOTS]
        ndcg = [_pandas_ndcg(frame, shown, task) for task in ("clicked", "bought")]
        means = shown[["utility", "hide", "report", "sponsored"]].mean()
        rows.append([means["utility"], *ndcg, means["hide"], means["report"], means["sponsored"]])
    return np.array(rows)


def _pandas_ndcg(frame: pd.DataFrame, shown: pd.DataFrame, task: str) -> float:
    gained = (shown[task] / np.log2(1 + shown["slot"])).groupby(shown["request"]).sum()
    places = frame.groupby("request")[task].rank(method="first", ascending=False)
    best = places <= SLOTS
    ideal = (frame[task][best] / np.log2(1 + places[best])).groupby(frame["request"][best]).sum()
    return float((gained / ideal)[ideal > 0].mean())


def timed(run: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a function returns, and the seconds that it took."""
    began = time.perf_counter()
    result = run()
    return result, time.perf_counter() - began


def fastest(run: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a function returns, and the seconds of the fastest of three calls (one may compile)."""
    calls = [timed(run) for _ in range(3)]
    return calls[0][0], min(seconds for _, seconds in calls)


def against_ranx(requests: int) -> None:
    """Print NDCG@10 of one ranking, from ids to the figure, beside ranx where it is installed."""
    random = np.random.default_rng(3)
    outcomes = (random.random((requests, SIZE)) < 0.15).astype(int)
    outcomes[outcomes.sum(axis=1) == 0, 0] = 1  # ranx knows no request without a relevant item
    scores = random.random((requests, SIZE))
    ids = np.repeat(np.array([f"q{i}" for i in range(requests)], dtype=object), SIZE)
    ours, seconds = fastest(lambda: _mean_ndcg(ids, outcomes.ravel(), scores.ravel()))
    print(f"NDCG@10 of {requests:,} requests of {SIZE}: {seconds:.2f} s")
    if importlib.util.find_spec("ranx") is None:
        print("  ranx is not installed here, so nothing stands beside it")
        return
    theirs, peer = fastest(lambda: _ranx(ids, outcomes.ravel(), scores.ravel()))
    print(
        f"  ranx {peer:.2f} s, ratio {peer / seconds:.0f} (wanted {ALLOWED_RANX:.0f}), "
        f"difference {abs(theirs - ours):.1e}"
    )


def _mean_ndcg(ids: npt.NDArray[np.object_], outcomes: npt.NDArray[np.int64], scores: Floats) -> float:
    return float(request_gains(outcomes, scores, ids, k=SLOTS).by_request.mean())


def _ranx(ids: npt.NDArray[np.object_], outcomes: npt.NDArray[np.int64], scores: Floats) -> float:
    ranx = importlib.import_module("ranx")
    items = np.tile(np.array([f"i{j}" for j in range(SIZE)], dtype=object), len(ids) // SIZE)
    with pd.option_context("future.infer_string", False):
        truth = pd.DataFrame({"q_id": ids, "doc_id": items, "score": outcomes})
        run = pd.DataFrame({"q_id": ids, "doc_id": items, "score": scores})
        relevant = truth[truth["score"] > 0]
        return float(ranx.evaluate(ranx.Qrels.from_df(relevant), ranx.Run.from_df(run), f"ndcg@{SLOTS}"))


def main() -> None:
    """Print seconds, ratios to the peers, the largest differences and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--policies", type=int, default=1_000)
    parser.add_argument("--requests", type=int, default=100_000, help="of the comparison with ranx")
    given = parser.parse_args()
    log, weights = make(given.candidates // SIZE * SIZE), draw_weights(given.policies)
    before = _peak_gigabytes()
    figures, seconds = timed(lambda: swept(log, weights))
    after = _peak_gigabytes()
    few = weights[:POLICIES_OF_THE_LOOP]
    expected, loop = timed(lambda: looped(log, few))
    each = loop / len(few)
    apart = np.abs(figures[: len(few)] / expected - 1).max()
    print(
        f"policy sweep: {given.policies:,} policies x {len(log.sponsored):,} candidates in {seconds:.1f} s "
        f"(allowed {ALLOWED_SECONDS:.0f} s for 1,000 x 1,000,000)\n"
        f"  numpy and pandas group-by: {each:.2f} s a policy, ratio "
        f"{each * given.policies / seconds:.0f} (wanted {ALLOWED_RATIO:.0f}), largest relative difference "
        f"{apart:.1e}\n"
        f"  peak memory {after:.2f} GB, {after - before:.2f} GB of them while it swept"
    )
    against_ranx(given.requests)


def _peak_gigabytes() -> float:
    unit = 1e9 if sys.platform == "darwin" else 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


if __name__ == "__main__":
    main()
