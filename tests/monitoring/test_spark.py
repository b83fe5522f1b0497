"""Validation and the monitor read labels that Spark built as those of DuckDB: every figure is equal."""

from pathlib import Path

import pandas as pd
import pytest

from tasks.labels.store import LabelStore
from tasks.validation.measure import measure
from tests.logs.spark_home import small_session, with_spark
from tests.monitoring.served_log import ServedLog, run_monitor, sorted_series

pytestmark = pytest.mark.spark


def test_measurements_and_series_of_labels_that_spark_built_are_those_of_duckdb(tmp_path: Path) -> None:
    workspace = ServedLog.of(tmp_path, days=20, requests=6).write()
    with small_session(tmp_path / "session"):
        other = with_spark(workspace, tmp_path / "spark")
        for one in (workspace, other):
            run_monitor(one, 20)
    ours, theirs = (measure(one, LabelStore(one.store, one.surface).find(None)) for one in (other, workspace))
    assert [*ours] == [*theirs]
    for suite, measured in theirs.items():
        assert len(measured)
        pd.testing.assert_frame_equal(ours[suite], measured, check_exact=True)
    found = [sorted_series(one) for one in (workspace, other)]
    assert {"calibration_ratio", "early_calibration", "arrived_share", "rows"} <= {*found[0]["metric"]}
    pd.testing.assert_frame_equal(found[1], found[0], check_exact=True)
