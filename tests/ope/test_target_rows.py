"""A target policy beside a log: what each logged row finds in it, and what is refused."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ope.log_rows import read_log
from tasks.ope.target_rows import read_target
from tests.ope import bandit


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
