"""Rows that are measured together stay together."""

import numpy as np

from tasks.evaluation.observations import Observations

ROWS = Observations(
    [1.0, np.nan, 0.0],
    [0.9, 0.5, 0.1],
    users=["u", "v", "w"],
    requests=["r", "r", "s"],
    segments={"source": ["ads", "feed", "ads"]},
    weights=[1.0, 2.0, 3.0],
    examination=[1.0, 0.5, np.nan],
)


def test_every_column_follows_the_rows_whose_outcome_is_known() -> None:
    known = ROWS.select_known()
    columns = (known.outcomes, known.predictions, known.users, known.requests, known.weights)
    assert [np.asarray(c).tolist() for c in columns] == [[1, 0], [0.9, 0.1], ["u", "w"], ["r", "s"], [1, 3]]
    assert np.asarray(known.segments["source"]).tolist() == ["ads", "ads"]
    np.testing.assert_array_equal(np.asarray(known.examination), [1.0, np.nan])


def test_what_is_left_out_stays_left_out() -> None:
    known = Observations([1.0], [0.9], ["u"], ["r"]).select_known()
    assert (known.weights, known.examination, known.segments) == (None, None, {})
