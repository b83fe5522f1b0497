"""One request against LightGBM's bare predictions, on one core: ``python -m benchmarks.one_request``.

A request of 200 candidates with 56 numbers and 4 categories is scored by four models of 300 trees with 63
leaves. Bare is the sum of four ``Booster.predict`` on a matrix that is there already. Ours starts from the
frame: it encodes, predicts, calibrates, composes, filters by a hard constraint and a relevance floor, fills a
slate of 20 with at most two of a creator, and explains the decision (every component of every candidate, what
dropped and what moved it): the decision as a table, the explanation as arrays, of which it makes tables for
those who read them. Both run in turn in one process, on the processor's clock; the median of the pairs'
ratios counts.
"""

import argparse

import numpy as np
import pandas as pd

from benchmarks.scoring import TASKS, candidates, learned, policies
from benchmarks.slates import timed
from tasks.contracts import SlateSpec, UtilitySpec, canonical
from tasks.ranking.decide import decide
from tasks.ranking.explain import explain

MOST = 1.25
LEARNED_FROM = 20_000
CREATORS = 20


def main() -> None:
    """Print milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=100)
    asked = parser.parse_args()
    heads = learned(candidates(LEARNED_FROM), trees=asked.trees, threads=1)
    frame = one_request(asked.candidates)
    matrix = next(iter(heads.heads.values())).encoder.matrix(frame)
    utility, slate = filtering_policies()

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


def one_request(count: int) -> pd.DataFrame:
    """Return the candidates of one request, each with a creator; one in twenty may not be shown."""
    random = np.random.default_rng(2)
    return candidates(count).assign(
        request_id="r",
        creator=np.array([f"m{i}" for i in range(CREATORS)])[random.integers(0, CREATORS, count)],
        violation=random.random(count) < 0.05,
    )


def filtering_policies() -> tuple[UtilitySpec, SlateSpec]:
    """Return those of the scoring benchmark with a hard constraint, a floor and a cap per creator."""
    utility, slate = policies()
    filters = {
        "relevance_floor": {"click": {"quantile": 0.2}},
        "hard_constraints": [{"name": "violation", "drop_when": {"column": "violation", "equals": True}}],
    }
    decided_by = UtilitySpec.model_validate(canonical(utility) | filters)
    return decided_by, slate.model_copy(update={"max_per": {"creator": 2}})


if __name__ == "__main__":
    main()
