"""A log of shown items: what is read of it, and that bad rows are named, counted and shown.

A target policy beside a log: what each logged row finds in it, and what is refused.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ope.log_rows import read_log, read_numbers, read_target, refuse_missing, refuse_rows, require_keys
from tests.ope import bandit


def test_rows_without_a_user_move_with_their_request() -> None:
    frame = bandit.log(4).assign(user_id=pd.Series(["u", None, "u", None]))
    rows = read_log(frame, reward="click")
    assert len(set(rows.clusters.codes)) == 3
    assert "requests" in rows.clusters.resampled


def test_a_log_without_users_is_resampled_by_request() -> None:
    for frame in (bandit.log(4).drop(columns="user_id"), bandit.log(4).assign(user_id=None)):
        assert read_log(frame, reward="click").clusters.resampled == "requests"


def test_slates_are_laid_out_by_position_whatever_the_order_of_rows() -> None:
    frame = pd.DataFrame(
        {
            "request_id": ["b", "a", "a"],
            "item_id": [1, 2, 3],
            "position": [1, 2, 1],
            "propensity": [0.1, 0.2, 0.3],
            "click": [0, 0, 1],
        }
    )
    rows = read_log(frame, reward="click")
    assert rows.as_slates(rows.propensity, missing=9.0).tolist() == [[0.3, 0.2], [0.1, 9.0]]
    assert rows.with_gaps == 0


def test_a_request_that_lacks_a_position_is_counted() -> None:
    assert read_log(bandit.log(3).assign(position=[1, 2, 1]), reward="click").with_gaps == 1


def test_a_label_that_is_not_observed_is_no_zero() -> None:
    status = ["observed", "immature", "observed", "excluded"]
    rows = read_log(
        bandit.log(4).assign(click=pd.Series([1, None, 0, None]), click__status=status), reward="click"
    )
    assert rows.reward.tolist() == [1.0, 0.0]
    assert rows.left_out == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="propensity"), "Missing column 'propensity' in the log"),
        (lambda f: f.iloc[:0], "The log holds no row"),
        (lambda f: f.assign(propensity=[0.0, 0.5, 0.5, 1.5]), "propensity must be above 0 and at most 1; 2 of 4"),
        (lambda f: f.assign(propensity=[np.nan, 0.5, 0.5, 0.5]), "propensity must be a finite number; 1 of 4"),
        (lambda f: f.assign(click__status="immature"), "click__status is observed in none of its rows"),
        (lambda f: f.assign(propensity="half"), "column propensity is string; it must be a number"),
        (lambda f: f.assign(click=[1, None, 0, np.inf]), "click must be a finite number; 2 of 4 rows are not: row 1"),
        (lambda f: f.assign(position=[1, 0, 1, 1.5]), "position must be a whole number from 1; 2 of 4"),
        (lambda f: f.assign(item_id=[None, *"abc"]), "item_id must be not null; 1 of 4"),
        (lambda f: f.assign(item_id=[0.5, 1, 2, 3]), "column item_id is floating; ids are strings or whole"),
        (lambda f: f.assign(item_id=[1, "a", 2, "b"]), "column item_id is mixed-integer"),
        (lambda f: f.assign(request_id="r"), "request_id, position must be no two rows alike; 3 of 4"),
        (lambda f: pd.concat([f, f], axis=1), "has column 'request_id' twice"),
        (lambda f: f.assign(behavior="cascde"), "cascade"),
        (
            lambda f: f.assign(request_id="r", position=[1, 2, 3, 4], item_id=list("abcd"), behavior=["cascade", "standard"] * 2),
            "behavior must be one word in a request; 2 of 4",
        ),
    ],
)  # fmt: skip
def test_what_a_log_may_not_hold_is_told(change: Callable[[pd.DataFrame], Any], message: str) -> None:
    with pytest.raises(DataError) as refused:
        read_log(change(bandit.log(4)), reward="click")
    assert message in str(refused.value)


def test_at_most_three_examples_are_shown() -> None:
    with pytest.raises(DataError) as refused:
        read_log(bandit.log(9).assign(propensity=0), reward="click")
    assert str(refused.value).count("row ") == 3
    assert "9 of 9 rows" in str(refused.value)


def test_a_log_of_hundreds_of_columns_is_not_listed() -> None:
    with pytest.raises(DataError) as refused:
        refuse_missing(["click"], [f"feature_{n}" for n in range(300)] + ["clicks"], table="log")
    assert str(refused.value).count("feature_") == 11
    assert "Did you mean 'clicks'?" in str(refused.value)


def test_every_missing_column_has_a_line() -> None:
    with pytest.raises(DataError) as refused:
        refuse_missing(["click", "position"], ["x"], table="log")
    assert len(str(refused.value).splitlines()) == 2


def test_booleans_and_numbers_that_may_be_null_are_numbers() -> None:
    frame = pd.DataFrame({"a": [True, False], "b": pd.array([1, 2], dtype="Int64")})
    assert read_numbers(frame, "a", table="log").tolist() == [1.0, 0.0]
    assert read_numbers(frame, "b", table="log").tolist() == [1.0, 2.0]


def test_a_missing_value_of_a_column_that_may_be_null_is_told() -> None:
    frame = pd.DataFrame({"b": pd.array([1, None], dtype="Int64")})
    with pytest.raises(DataError, match="1 of 2 rows is not"):
        read_numbers(frame, "b", table="log")


def test_whole_numbers_and_strings_are_ids_and_fractions_are_not() -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1, 2], "c": [0.5, 1.5]})
    require_keys(frame, ["a", "b"], table="log")
    with pytest.raises(DataError, match="column c is floating"):
        require_keys(frame, ["a", "b", "c"], table="log")


def test_only_broken_rows_are_refused() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    refuse_rows(frame, np.array([False, False]), ("a", "anything"), table="log")
    with pytest.raises(DataError, match="1 of 2 rows"):
        refuse_rows(frame, np.array([False, True]), ("a", "anything"), table="log")


def test_each_row_finds_the_probability_of_its_item() -> None:
    frame = bandit.log(50)
    target = read_target(bandit.target(0.9), read_log(frame, reward="click"))
    wanted = frame.item_id.map({"plain": 0.1, "liked": 0.9})
    assert target.of_logged(target.probability) == pytest.approx(wanted.to_numpy(dtype=float))


def test_an_item_that_is_not_named_has_probability_0() -> None:
    only = pd.DataFrame({"item_id": ["liked"], "position": [1], "probability": [1.0]})
    frame = bandit.log(50)
    target = read_target(only, read_log(frame, reward="click"))
    assert target.of_logged(target.probability).tolist() == (frame.item_id == "liked").astype(float).tolist()


def test_a_target_of_requests_is_read_for_each_of_them_in_any_order() -> None:
    frame = bandit.log(20)
    liked = np.linspace(0.1, 0.9, 20)
    both = [bandit.target(p).assign(request_id=r) for p, r in zip(liked, frame.request_id, strict=True)]
    rows = pd.concat(both).sample(frac=1, random_state=1)
    target = read_target(rows, read_log(frame, reward="click"))
    wanted = np.where(frame.item_id == "liked", liked, 1 - liked)
    assert target.of_logged(target.probability) == pytest.approx(wanted)
    values = np.where(rows.item_id == "liked", 1.0, 0.0)
    assert target.expect(values) == pytest.approx(liked)


def test_requests_that_were_not_logged_do_no_harm() -> None:
    frame = bandit.log(10)
    names = [*frame.request_id, "elsewhere"]
    rows = pd.concat([bandit.target(0.5).assign(request_id=name) for name in names])
    target = read_target(rows, read_log(frame, reward="click"))
    assert target.of_logged(target.probability).tolist() == [0.5] * 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="probability"), "Missing column 'probability' in the target"),
        (lambda f: f.iloc[:0], "The target holds no row"),
        (lambda f: f.assign(probability=[-0.5, 1.5]), "probability must be from 0 to 1; 2 of 2 rows are not"),
        (lambda f: f.assign(probability=[np.nan, 1.0]), "probability must be a finite number; 1 of 2"),
        (lambda f: f.assign(probability=0.45), "probability must be 1 in sum at each position (1 of them); 1 of 1 rows is not: row 0 (position 1, sum 0.9)"),
        (lambda f: pd.concat([f, f]), "position, item_id must be no two rows alike; 2 of 4"),
        (lambda f: f.assign(position=2), "position must be one for which the target has probabilities; 30 of 30"),
        (lambda f: f.assign(item_id=[1, 2]), "Column item_id is string in the log and integer in the target"),
        (lambda f: f.assign(item_id=["a", "b"]), "The target lies outside the log's support: column probability"),
        (lambda f: f.assign(q=[np.inf, 0]), "column q must be a finite number; 1 of 2"),
        (lambda f: f.assign(request_id="r00000"), "position must be one for which the target has probabilities; 29 of 30"),
    ],
)  # fmt: skip
def test_what_a_target_may_not_be_is_told(
    change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(DataError) as refused:
        read_target(change(bandit.target()), read_log(bandit.log(30), reward="click"))
    assert message in str(refused.value)
