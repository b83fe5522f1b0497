"""Candidates under ids of the replay: only the request ids change, and each request stays one."""

import pandas as pd

from tasks.replay.fresh_draws import with_fresh_draws

LOG = pd.DataFrame(
    {"request_id": ["b", "a", "b"], "item_id": ["x", "y", "z"], "propensity": [0.5, 1.0, None]},
    index=[4, 2, 9],
)


def test_rows_of_a_request_stay_together_and_nothing_else_changes() -> None:
    renamed = with_fresh_draws(LOG)
    assert renamed["request_id"].tolist() == ["replay of b", "replay of a", "replay of b"]
    pd.testing.assert_frame_equal(renamed.drop(columns="request_id"), LOG.drop(columns="request_id"))


def test_an_id_is_renamed_alike_in_every_part_of_the_candidates() -> None:
    parts = [with_fresh_draws(LOG.iloc[rows])["request_id"].tolist() for rows in ([0], [1, 2])]
    assert [*parts[0], *parts[1]] == with_fresh_draws(LOG)["request_id"].tolist()


def test_a_log_without_propensities_is_left_alone() -> None:
    silent = LOG.drop(columns="propensity")
    assert with_fresh_draws(silent) is silent


def test_without_candidates_there_is_nothing_to_rename() -> None:
    assert with_fresh_draws(LOG.iloc[:0]).empty
