"""Rows that a model scores again within a step are counted, whatever table they come as."""

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from benchmarks.retrained.repeats import watched
from tasks.progress import report


def test_a_model_scores_rows_again_and_another_model_or_step_does_not() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 2))
    rows[0, 0] = np.nan
    one, other = (
        lgb.train({"verbosity": -1, "min_data_in_leaf": 5, "seed": seed}, lgb.Dataset(rows, labels), 2)
        for seed, labels in enumerate((rows[:, 1], -rows[:, 1]))
    )
    as_arrow = pa.table({"a": pa.array(rows[:, 0], from_pandas=True), "b": rows[:, 1]})
    with watched() as watch:
        report("release", done=0, of=2)
        for booster in (one, other):
            booster.predict(rows)
        one.predict(as_arrow)
        report("simulate", done=1, of=2)
        one.predict(rows)
    release, simulate = (watch.costs[step] for step in ("release", "simulate"))
    assert (release.scored, release.again, release.ratio) == (180, 60, 1.5)
    assert (simulate.scored, simulate.ratio) == (60, 1.0)
