"""One request against LightGBM's bare predictions, on one core: ``python -m benchmarks.one_request``.

A request of 200 candidates with 56 numbers and 4 categories is scored by four models of 300 trees with 63
leaves. Bare is the sum of four ``Booster.predict`` on a matrix that is there already. Ours starts from the
frame: it encodes, predicts, calibrates, composes, filters, fills a slate of 20 and explains the decision
(every component of every candidate, what dropped and what moved it): the decision as a table, the explanation
as arrays, of which it makes tables for those who read them. Both run in turn in one process, on the
processor's clock; the median of the pairs' ratios counts.
"""

import argparse

import numpy as np

from benchmarks.scoring import TASKS, candidates, learned, policies
from benchmarks.slates import timed
from tasks.ranking.decide import decide
from tasks.ranking.explain import explain

MOST = 1.25
LEARNED_FROM = 20_000


def main() -> None:
    """Print milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=100)
    asked = parser.parse_args()
    heads = learned(candidates(LEARNED_FROM), trees=asked.trees, threads=1)
    frame = candidates(asked.candidates).assign(request_id="r")
    matrix = next(iter(heads.heads.values())).encoder.matrix(frame)
    utility, slate = policies()

    def bare() -> None:
        for head in heads.heads.values():
            head.booster.predict(matrix, num_threads=1)

    def decided() -> None:
        _ = decide(frame, heads.predict(frame, threads=1), utility, slate).frame

    def explained() -> None:
        explain(frame, heads.predict(frame, threads=1), utility, slate, request_id="r")

    print(f"one request: {asked.candidates} candidates, {len(TASKS)} models of {asked.trees} trees, one core")
    for act in (bare, decided, explained):
        act()
    for name, act in (("decided", decided), ("decided and explained", explained)):
        pairs = np.array([(timed(bare), timed(act)) for _ in range(asked.pairs)])
        ours, ratio = 1_000 * np.median(pairs[:, 1]), np.median(pairs[:, 1] / pairs[:, 0])
        print(f"  four bare Booster.predict {1_000 * np.median(pairs[:, 0]):7.2f} ms")
        print(f"  {name:<25} {ours:7.2f} ms   ratio {ratio:.3f} (at most {MOST})")


if __name__ == "__main__":
    main()
