"""What an amount is predicted worse by: by hand, with intervals that hold the truth, and laws."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.evaluation.grouping import Grouping
from tasks.evaluation.paired import PairedRows
from tasks.evaluation.paired_errors import (
    pinball_losses,
    relative_pinball_loss_rise,
    relative_squared_error_rise,
)
from tasks.evaluation.subjects import Segment

AMOUNTS = st.lists(st.integers(0, 9).map(float), min_size=2, max_size=12)


def test_a_mean_that_says_nothing_loses_all_that_the_other_knew() -> None:
    rng = np.random.default_rng(0)
    known, users = rng.gamma(2.0, size=3000), np.repeat(np.arange(300), 10)
    watched = known + rng.normal(scale=0.5, size=3000)
    mean = float(watched.mean())
    (rise,) = relative_squared_error_rise(
        PairedRows(watched, known, np.full(3000, mean), users, users), base=mean
    )
    explained = 1 - np.mean((watched - known) ** 2) / watched.var()
    assert rise.value == pytest.approx(explained)
    assert (rise.low < rise.value < rise.high, rise.n) == (True, 300)


def test_too_few_who_watched_at_all_have_no_interval() -> None:
    watched, users = np.r_[np.full(9, 3.0), np.zeros(91)], np.arange(100)
    rows = PairedRows(watched, watched, np.ones(100), users, users)
    assert not relative_squared_error_rise(rows, base=1.0)[0].known
    assert relative_pinball_loss_rise(rows, quantile=0.9, base=1.0)[0].known, "zeros tell of a quantile"


def test_groups_are_told_apart_and_what_has_no_error_to_divide_by_is_unknown() -> None:
    rows = PairedRows(
        [1.0, 3.0, 2.0, 2.0], [1.0, 3.0, 2.0, 2.0], [2.0, 3.0, 3.0, 2.0], list("uvwx"), list("rstu")
    )
    group = Grouping((Segment("group", "a"), Segment("group", "b")), np.array([0, 0, 1, 1]))
    first, second = relative_squared_error_rise(rows, group, base=2.0)
    assert first.value == 0.5
    assert math.isnan(second.value), "the constant is right everywhere"


def test_no_row_is_unknown_and_what_is_not_finite_is_refused() -> None:
    nothing = PairedRows([], [], [], [], [])
    for (rise,) in (
        relative_squared_error_rise(nothing, base=1.0),
        relative_pinball_loss_rise(nothing, quantile=0.5, base=1.0),
    ):
        assert math.isnan(rise.value)
    with pytest.raises(DataError, match="1 of 2 predictions are not finite"):
        relative_squared_error_rise(PairedRows([1, 2], [1, 2], [1, math.nan], "uv", "rs"), base=1.0)


@given(AMOUNTS, st.data())
def test_whoever_is_the_champion_what_one_loses_the_other_gains(
    watched: list[float], data: st.DataObject
) -> None:
    size = len(watched)
    one, other = (data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size)) for _ in range(2))
    users = [str(i) for i in range(size)]
    for rise in (
        partial(relative_squared_error_rise, base=4.5),
        partial(relative_pinball_loss_rise, quantile=0.8, base=4.5),
    ):
        (lost,) = rise(PairedRows(watched, one, other, users, users))
        (gained,) = rise(PairedRows(watched, other, one, users, users))
        assert lost.value == pytest.approx(-gained.value)


@given(st.floats(0.05, 0.95), AMOUNTS)
def test_no_constant_has_less_pinball_loss_than_the_quantile(quantile: float, watched: list[float]) -> None:
    y = np.array(watched)
    best = pinball_losses(y, np.full_like(y, np.quantile(y, quantile, method="inverted_cdf")), quantile).sum()
    assert all(
        pinball_losses(y, np.full_like(y, other), quantile).sum() >= best - 1e-9 for other in range(10)
    )
