import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.training.sampling import (
    age_weights,
    balance_classes,
    column_weights,
    combine_factors,
    describe_factors,
    effective_size,
    hash_to_uniform,
    hold_out_users,
    negative_rates,
    propensity_weights,
    sample_rows,
)
from tests.known import known


def column(values: Sequence[object]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values)])


PROGRAM = """
import pyarrow as pa
from tasks.training.sampling import hash_to_uniform
columns = [pa.chunked_array([["r1", "r1", "r2"]]), pa.chunked_array([[1, 2, 2]])]
print(hash_to_uniform(columns, salt="purchase_7d").tolist())
"""
EVER = b"[0.8577532889989684, 0.19300815422040607, 0.6270152096198487]\n"


def test_the_numbers_are_the_same_in_every_process_and_for_ever() -> None:
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
        )
        assert run.stdout == EVER


def test_the_numbers_are_uniform_and_independent_between_salts() -> None:
    users = column(list(range(20_000)))
    one, two = (hash_to_uniform([users], salt=salt) for salt in ("a", "b"))
    assert np.histogram(one, bins=10, range=(0, 1))[0] == pytest.approx(2000, abs=200)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03


def test_both_columns_of_a_key_count_and_so_does_their_order() -> None:
    one, two = column(["a", "b"]), column(["b", "a"])
    there, back = hash_to_uniform([one, two], salt="s"), hash_to_uniform([two, one], salt="s")
    assert there[0] != there[1]
    assert there[0] == back[1]
    assert there[0] != back[0]


def test_chunks_and_large_strings_make_no_difference() -> None:
    whole = column(["a", "b", "c"])
    parts = pa.chunked_array([["a"], ["b", "c"]]).cast(pa.large_string())
    np.testing.assert_array_equal(hash_to_uniform([whole], salt="s"), hash_to_uniform([parts], salt="s"))


def test_a_null_is_a_value_of_its_own() -> None:
    assert len(set(hash_to_uniform([column(["a", None, "None", ""])], salt="s").tolist())) == 4


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(-9, 9)), min_size=1), st.randoms())
def test_a_row_keeps_its_number_in_any_order_and_company(rows: list[Any], random: Random) -> None:
    alone = {row: hash_to_uniform([column([row[0]]), column([row[1]])], salt="s")[0] for row in rows}
    shuffled = rows + rows
    random.shuffle(shuffled)
    together = hash_to_uniform([column([r[0] for r in shuffled]), column([r[1] for r in shuffled])], salt="s")
    assert [alone[row] for row in shuffled] == together.tolist()


def test_every_positive_and_about_the_asked_share_of_negatives_is_kept() -> None:
    requests, items = column(list(range(30_000))), column(["x"] * 30_000)
    positive = np.arange(30_000) % 100 == 0
    kept = sample_rows(positive, [requests, items], negatives=0.1, salt="purchase_7d")
    assert kept[positive].all()
    assert kept[~positive].mean() == pytest.approx(0.1, abs=0.006)


def test_a_greater_rate_keeps_what_a_lesser_one_kept() -> None:
    key = [column(list(range(1000)))]
    none = np.zeros(1000, dtype=bool)
    few, many = (sample_rows(none, key, negatives=rate, salt="s") for rate in (0.1, 0.4))
    assert not (few & ~many).any()


def test_a_rate_of_one_keeps_all() -> None:
    assert sample_rows(np.array([False, True]), [column([1, 2])], negatives=1.0, salt="s").all()


def test_each_segment_keeps_its_own_share_and_a_row_keeps_its_fate() -> None:
    key = [column(list(range(20_000)))]
    none, rates = np.zeros(20_000, dtype=bool), np.where(np.arange(20_000) % 2, 0.5, 0.05)
    kept = sample_rows(none, key, negatives=rates, salt="s")
    assert kept[1::2].mean() == pytest.approx(0.5, abs=0.015)
    assert kept[::2].mean() == pytest.approx(0.05, abs=0.008)
    np.testing.assert_array_equal(kept[1::2], sample_rows(none, key, negatives=0.5, salt="s")[1::2])


def test_the_greatest_share_of_those_that_name_a_row_counts() -> None:
    columns = {"source": column(["ads", "feed", None, "ads"]), "page": column([1, 2, 1, 3])}
    by = {"source": {"ads": 0.02}, "page": {"1": 0.3}}
    assert negative_rates(columns, by, others=0.1).tolist() == [0.3, 0.1, 0.3, 0.02]


def test_a_number_is_spelled_as_in_every_other_place() -> None:
    columns = {"page": column([1.0, 2.5, None]), "new": column([True, False, True])}
    assert negative_rates({"page": columns["page"]}, {"page": {"1": 0.3, "2.5": 0.4}}, others=0.1).tolist() == [
        0.3, 0.4, 0.1,
    ]  # fmt: skip
    assert negative_rates({"new": columns["new"]}, {"new": {"true": 0.5}}, others=0.1).tolist() == [
        0.5,
        0.1,
        0.5,
    ]


def test_all_rows_of_a_user_are_on_one_side_of_the_fold() -> None:
    users = np.repeat(np.arange(2000), 5)
    fold = hold_out_users(column(users.tolist()), share=0.1, salt="fold").reshape(-1, 5)
    assert (fold.all(axis=1) | ~fold.any(axis=1)).all()
    assert fold.mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-1.0, "-1 in 1 of 3"),
        (np.nan, "null in 1 of 3"),
        (np.inf, "inf in 1 of 3"),
        (1e300, r"1e\+300 in 1 of 3"),
    ],
)
def test_a_weight_that_is_none_is_refused_with_what_it_is_and_how_often(value: Any, shown: str) -> None:
    with pytest.raises(
        DataError, match=rf"'click' cannot be trained: weights\.column 'trust' is {shown} rows"
    ):
        column_weights(np.array([1.0, value, 0.0]), task="click", column="trust")


def test_a_half_life_halves_by_it_and_counts_from_the_newest_row() -> None:
    shown = np.array(["2026-03-01T00:00", "2026-03-01T12:00", "2026-02-28T00:00"], dtype="datetime64[us]")
    np.testing.assert_allclose(age_weights(shown, timedelta(hours=12)), [0.5, 1.0, 0.125])


def test_an_older_row_weighs_the_same_whatever_came_after_the_newest() -> None:
    shown = np.array(["2026-03-01", "2026-03-03"], dtype="datetime64[us]")
    alone, later = (age_weights(shown[:n], timedelta(days=2)) for n in (1, 2))
    assert (alone[0], later[0]) == (1.0, 0.5)


def test_a_row_of_very_long_ago_weighs_next_to_nothing_and_not_nothing() -> None:
    shown = np.array(["2026-03-01", "2026-03-15"], dtype="datetime64[us]")
    old, new = age_weights(shown, timedelta(seconds=1))
    assert 0 < old < 1e-29
    assert new == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (np.nan, "null"), (1.5, "1.5"), (-0.1, "-0.1"), (np.inf, "inf")]
)
def test_a_propensity_without_an_inverse_is_refused(value: Any, shown: str) -> None:
    with pytest.raises(
        DataError, match=rf"the logged propensity is {shown} in 2 of 3 rows.*log it, or leave"
    ):
        propensity_weights(np.array([value, 0.5, value]), clip=20, task="click")


def test_a_propensity_of_next_to_nothing_weighs_the_clip() -> None:
    assert propensity_weights(np.array([5e-324, 0.5]), clip=20, task="click").tolist() == [20.0, 2.0]


def test_factors_are_multiplied_and_their_mean_is_one() -> None:
    found = combine_factors([np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 4.0])])
    np.testing.assert_allclose(known(found), np.array([2.0, 4.0, 12.0]) / 6)
    assert combine_factors([]) is None


@pytest.mark.parametrize("before", [None, np.array([1.0, 3.0, 1.0, 1.0, 2.0])])
def test_balanced_positives_weigh_as_much_as_negatives_and_the_offset_says_by_what_factor(
    before: Any,
) -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0, 1.0])
    after, offset = balance_classes(labels, before)
    assert after[labels == 1].sum() == pytest.approx(after[labels == 0].sum())
    assert after.mean() == pytest.approx(1)
    factor = after / (np.ones(5) if before is None else before)
    assert np.exp(offset) == pytest.approx(factor[0] / factor[1])


def test_equal_weights_are_worth_their_number_and_one_heavy_row_is_worth_one() -> None:
    assert effective_size(np.full(7, 3.0)) == pytest.approx(7)
    assert effective_size(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)


def test_each_factor_is_described_by_its_range_and_what_it_leaves_of_the_rows() -> None:
    (described,) = describe_factors({"half_life": np.array([1.0, 3.0])}).values()
    assert described == {"least": 1.0, "mean": 2.0, "greatest": 3.0, "effective_rows": pytest.approx(1.6)}
