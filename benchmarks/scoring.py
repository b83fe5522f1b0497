"""Scoring by a release's heads against LightGBM's bare predictions: ``python -m benchmarks.scoring``.

Four models of 300 trees with 63 leaves score 200,000 candidates with 56 numbers and 4 categories. Bare is the
sum of four ``Booster.predict`` on a matrix that is there already. Ours reads a frame: it encodes categories,
predicts, calibrates each task by a map, multiplies a chain of two, looks that all is finite, and decides:
utility, ranks and slates of 20 out of 40 candidates a request. Both are timed in turn; the median ratio of
the pairs counts.
"""

import argparse
import time
from collections.abc import Callable

import lightgbm as lgb
import numpy as np
import pandas as pd

from tasks.calibration.fit import fit_binary
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.ranking.decide import decide
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head, Heads

MOST = 1.10
TASKS = ("click", "buy", "back", "hide")
NUMBERS, CATEGORIES, ITEMS = 56, 4, 40


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as LightGBM takes")
    asked = parser.parse_args()
    frame = candidates(asked.rows)
    heads = learned(frame, trees=asked.trees, threads=asked.threads)
    matrix = next(iter(heads.heads.values())).encoder.matrix(frame)
    utility, slate = policies()

    def bare() -> None:
        for head in heads.heads.values():
            head.booster.predict(matrix, num_threads=asked.threads)

    def ours() -> None:
        decide(frame, heads.predict(frame, threads=asked.threads), utility, slate)

    ours()
    pairs = [(timed(bare), timed(ours)) for _ in range(asked.pairs)]
    ratio = np.median([two / one for one, two in pairs])
    print(f"scoring: {asked.rows:,} rows, {len(TASKS)} models of {asked.trees} trees, {asked.pairs} pairs")
    print(f"  four bare Booster.predict                {np.median([one for one, _ in pairs]):6.2f} s")
    print(f"  encoded, calibrated, composed, decided   {np.median([two for _, two in pairs]):6.2f} s")
    print(f"  ratio {ratio:.3f} (at most {MOST})")


def candidates(rows: int) -> pd.DataFrame:
    """Return requests of 40 candidates each."""
    random = np.random.default_rng(0)
    numbers = {f"n{i}": random.normal(size=rows) for i in range(NUMBERS)}
    texts = {
        f"c{i}": pd.Categorical.from_codes(
            random.integers(0, 30, rows), pd.Index([f"v{v}" for v in range(30)])
        )
        for i in range(CATEGORIES)
    }
    keys = {
        "request_id": np.repeat([f"r{i}" for i in range(-(-rows // ITEMS))], ITEMS)[:rows],
        "item_id": np.array([f"i{i}" for i in range(rows)]),
    }
    return pd.DataFrame({**keys, **numbers, **texts})


def learned(frame: pd.DataFrame, *, trees: int, threads: int) -> Heads:
    """Return calibrated heads of a tenth of the rows; ``back`` is learned where ``buy`` is positive."""
    some, random = frame.iloc[: max(20_000, len(frame) // 10)], np.random.default_rng(1)
    categorical = [f"c{i}" for i in range(CATEGORIES)]
    encoder = FeatureEncoder.fit(some, [f"n{i}" for i in range(NUMBERS)], categorical)
    matrix, heads = encoder.matrix(some), {}
    settings = {"objective": "binary", "num_leaves": 63, "verbosity": -1, "num_threads": threads}
    for place, task in enumerate(TASKS):
        labels = (random.random(len(some)) < 1 / (1 + np.exp(1 - matrix[:, place]))).astype(float)
        data = lgb.Dataset(matrix, labels, categorical_feature=[*range(NUMBERS, NUMBERS + CATEGORIES)])
        booster = lgb.train(settings, data, trees)
        fitted = fit_binary(booster.predict(matrix), labels)
        heads[task] = Head(task, "binary", booster, encoder, fitted, parent="buy" if task == "back" else None)
    return Heads(heads)


def policies() -> tuple[UtilitySpec, SlateSpec]:
    """Return a weighted sum of all tasks and slates of 20."""
    weights = dict(zip(TASKS, (1.0, 20.0, -5.0, -3.0), strict=True))
    named = {"policy": "p", "version": 1, "owner": "o", "approvals": ["product"]}
    return UtilitySpec.model_validate({**named, "weights": weights}), SlateSpec(
        policy="s", version=1, length=20
    )


def timed(act: Callable[[], object]) -> float:
    """Return the seconds on the clock."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
