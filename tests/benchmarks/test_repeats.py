"""Rows that a model scores again within a step are counted, whatever table they come as."""

import logging

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from benchmarks.retrained.repeats import watched


def test_a_model_scores_rows_again_and_another_model_or_step_does_not() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 2))
    rows[0, 0] = np.nan
    one, other = (
        lgb.train({"verbosity": -1, "min_data_in_leaf": 5, "seed": seed}, lgb.Dataset(rows, labels), 2)
        for seed, labels in enumerate((rows[:, 1], -rows[:, 1]))
    )
    as_arrow = pa.table({"a": pa.array(rows[:, 0], from_pandas=True), "b": rows[:, 1]})
    log = logging.getLogger("equipoise")
    with watched() as watch:
        log.info("[1/2] release")
        for booster in (one, other):
            booster.predict(rows)
        one.predict(as_arrow)
        log.info("[2/2] simulate")
        one.predict(rows)
    release, simulate = (watch.costs[step] for step in ("release", "simulate"))
    assert (release.scored, release.again, release.ratio) == (180, 60, 1.5)
    assert (simulate.scored, simulate.ratio) == (60, 1.0)
