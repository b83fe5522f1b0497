"""What is read of a task's rows: labels as floats, and one row a request where that is the observation."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.training.rows import mark_first_rows, measured_head, read_labels
from tests.contracts.files import load_files, setting


def test_labels_are_floats() -> None:
    assert read_labels(pa.table({"click": [1, 0]}), "click").dtype == np.float64


def test_a_request_s_first_row_stands_for_it_wherever_its_others_are() -> None:
    requests = ["r", "s", "r", "t", "s"]
    assert mark_first_rows(np.array(requests)).tolist() == [True, True, False, True, False]
    known = np.array([False, False, True, False, True])
    assert mark_first_rows(np.array(requests), known).tolist() == known.tolist(), "where the outcome is known"


def test_a_head_is_measured_by_its_quantile_and_the_slots_of_the_slate(tmp_path: Path) -> None:
    training = {"spend": {"objective": "quantile", "quantile": 0.9}}
    contracts = load_files(tmp_path, setting("surface.training", training))
    spend = measured_head(contracts, "spend")
    assert (spend.kind, spend.quantile, spend.slots) == ("quantile", 0.9, 10)
