"""How fast many policies are ranked on the same candidates: ``python -m benchmarks.policy_sweep``.

A thousand weight vectors on a million candidates in requests of 20: utility, NDCG@10 of two tasks, expected
hides and reports, and the share of sponsored items, all over the first ten slots. Beside it stands a loop of
numpy and a pandas group-by, one policy at a time, measured on the first few and held against the sweep's
figures. Then NDCG@10 of a hundred thousand requests, from ids, scores and outcomes to one figure, beside ranx
where that is installed (``pip install ranx``; it is no dependency).
"""

import argparse
import importlib
import importlib.util
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluation.ndcg import request_gains
from tasks.replay.policy_sweep import SweptCandidates, sweep_policies

Floats = npt.NDArray[np.float64]
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
    means = sums.per_look(np.ones(SLOTS))
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
