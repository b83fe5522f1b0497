"""Features on later days compared with the days that a head learned from."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.evidence import InputChange
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head
from tasks.release.inputs import InputRows, Learned, find_changes

Floats = npt.NDArray[np.float64]
DAYS = [date(2026, 5, 1) + timedelta(days=n) for n in range(28)]


def prices(rows: int, *, seed: int, scale: float = 1.0) -> Floats:
    return np.random.default_rng(seed).lognormal(3.0, 1.0, rows) * scale


def aisles(rows: int, *, seed: int) -> Floats:
    return np.random.default_rng(seed).integers(0, 20, rows).astype(float)


def changes(before: Floats, after: Floats, *, categorical: bool = False) -> dict[str, InputChange]:
    """Compare four weeks of values with later ones."""
    weeks = 3 - np.arange(before.size) * 4 // before.size
    learned = Learned("feature", categorical, before, weeks)
    return {change.kind: change for change in learned.changes("test", after)}


def renamed(values: Floats, below: int) -> Floats:
    return np.where(values < below, values + 100, values)


def with_nulls(values: Floats, share: float) -> Floats:
    return np.where(np.arange(values.size) < share * values.size, np.nan, values)


def test_days_like_those_before_have_no_change() -> None:
    assert not changes(prices(8000, seed=1), prices(1000, seed=2))
    assert not changes(aisles(8000, seed=1), aisles(1000, seed=2), categorical=True)


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (lambda x: x * 100, {"scale", "distribution"}),
        (lambda x: x * 2, {"distribution"}),
        (np.zeros_like, {"constant", "distribution"}),
        (lambda x: with_nulls(x, 0.21), {"nulls"}),
        (lambda x: with_nulls(x, 0.19), set()),
        (lambda x: with_nulls(x, 1.0), {"nulls"}),
    ],
    ids=["cents", "doubled", "constant 0", "a fifth null", "less null", "all null"],
)
def test_a_number_that_changed_is_found(after: Callable[[Floats], Floats], found: set[str]) -> None:
    assert set(changes(prices(8000, seed=1), after(prices(1000, seed=2)))) == found


@pytest.mark.parametrize(
    ("of_twenty", "found"),
    [(6, {"unseen", "distribution"}), (3, {"distribution"}), (0, set())],
    ids=["a third renamed", "15 % renamed", "none renamed"],
)
def test_a_renamed_category_is_found(of_twenty: int, found: set[str]) -> None:
    after = renamed(aisles(1000, seed=2), of_twenty)
    assert set(changes(aisles(8000, seed=1), after, categorical=True)) == found


def test_a_feature_that_is_mostly_0_is_found_in_cents_and_silent() -> None:
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random(9000) < 0.8, 0.0, rng.poisson(3.0, 9000) + 1.0)
    before, after = sparse[:8000], sparse[8000:]
    assert changes(before, after * 100)["scale"].observed == pytest.approx(100, rel=0.4)
    assert "constant" in changes(before, after * 0)


def test_what_past_weeks_do_among_themselves_is_usual() -> None:
    """A level that doubles each week is drift that training knows, and so is a week of other categories."""
    weeks = [prices(2000, seed=n, scale=2.0**n) for n in range(4)]
    assert not changes(np.concatenate(weeks), prices(1000, seed=9, scale=8.0))
    assert set(changes(weeks[3], prices(1000, seed=9, scale=0.5))) == {"scale", "distribution"}
    each = [aisles(2000, seed=n) + 100 * n for n in range(4)]
    assert not changes(np.concatenate(each), aisles(1000, seed=9) + 400, categorical=True)


def categories_of_nine_days(days: range, *, renamed: bool = False) -> InputRows:
    """100 rows a day: 40 have the category of nine days, the others one of twenty that stay."""
    values = np.concatenate([np.r_[np.full(40, 1000.0 + day // 9), np.arange(60) % 20] for day in days])
    each = np.repeat([DAYS[0] + timedelta(days=day) for day in days], 100)
    one_each = np.arange(each.size)
    return InputRows(each, {"topic": values + 100 * renamed}, one_each, {"topic": []})


def test_categories_that_never_stay_are_new_as_usual_two_weeks_later() -> None:
    """Weeks share the categories of nine days with the next week, and none with the week after it."""
    learned, later = categories_of_nine_days(range(28)), range(42, 49)
    assert not list(find_changes(learned, {"newest": categories_of_nine_days(later)}))
    found = find_changes(learned, {"newest": categories_of_nine_days(later, renamed=True)})
    assert [change.kind for change in found] == ["unseen", "distribution"]


def test_a_constant_of_training_may_stay_one() -> None:
    assert not changes(np.ones(8000), np.ones(1000))


@given(st.integers(1, 99), st.integers(0, 50))
def test_few_rows_show_no_change(rows: int, seed: int) -> None:
    assert not changes(prices(8000, seed=seed), prices(rows, seed=seed + 1) * 1000)


def test_a_head_is_compared_by_what_it_reads() -> None:
    """Held features are left out; integers and texts of one category are the same."""
    rng = np.random.default_rng(0)
    learned = pd.DataFrame(
        {
            "ds": [day for day in DAYS for _ in range(100)],
            "request_id": np.arange(2800),
            "price": prices(2800, seed=1),
            "position": rng.integers(1, 9, 2800),
            "aisle": rng.integers(0, 5, 2800),
        }
    )
    encoder = FeatureEncoder.fit(learned, ["price", "position"], ["aisle"])
    booster = lgb.train({"verbose": -1}, lgb.Dataset(encoder.matrix(learned), learned["price"]), 1)
    head = Head("buy", "value", booster, encoder, None, held={"position": 1.0})
    test = learned.tail(700).assign(position=70, aisle=lambda frame: frame["aisle"].astype(str))
    cents = test.assign(price=test["price"] * 100)
    before, same, changed = InputRows.encode([learned, test, cents], [head], {})
    assert [
        (one.feature, one.days, one.kind)
        for one in find_changes(before.on(DAYS[0], DAYS[-1]), {"test": same, "newest": changed})
    ] == [("price", "newest", "scale"), ("price", "newest", "distribution")]


IN_ONE_REGION: dict[str, Callable[[Floats], Floats]] = {
    "scale": lambda x: x * 10,
    "empty": np.zeros_like,
}


def priced(days: list[date], *, seed: int, by: str = "region", rows: int = 4) -> InputRows:
    """500 requests a day: the region, or the aisle of an item, is one of twenty."""
    requests = np.arange(500 * len(days))
    codes = aisles(requests.size, seed=seed + 50)
    codes = np.repeat(codes, rows) if by == "region" else aisles(requests.size * rows, seed=seed + 50)
    columns = {"price": prices(codes.size, seed=seed), by: codes}
    each = np.repeat(np.array(days), 500 * rows)
    return InputRows(each, columns, np.repeat(requests, rows), {by: [f"r{code}" for code in range(20)]})


def change_in_7(rows: InputRows, by: str, change: Callable[[Floats], Floats]) -> InputRows:
    price = rows.columns["price"]
    changed = np.where(rows.columns[by] == 7, change(price), price)
    return replace(rows, columns={**rows.columns, "price": changed})


@pytest.mark.parametrize("kind", IN_ONE_REGION)
def test_a_change_in_one_of_many_regions_is_found(kind: str) -> None:
    """A twentieth of the rows changes the distribution of all rows by less than its bound."""
    before, after = priced(DAYS[:21], seed=1), priced(DAYS[21:], seed=2)
    assert not list(find_changes(before, {"test": after}))
    changed = change_in_7(after, "region", IN_ONE_REGION[kind])
    (found,) = find_changes(before, {"test": changed})
    assert (found.feature, found.kind, found.rows) == ("price", kind, "test days, region=r7")
    assert found.observed == pytest.approx({"scale": 10, "empty": 1}[kind], rel=0.2)


@pytest.mark.parametrize(("by", "rows"), [("aisle", 4), ("region", 1)], ids=["items", "one row a request"])
def test_only_categories_of_requests_are_compared(by: str, rows: int) -> None:
    """Other products on offer change the prices of an aisle; with one row a request nobody can tell."""
    before = priced(DAYS[:21], seed=1, by=by, rows=rows)
    after = priced(DAYS[21:], seed=2, by=by, rows=rows)
    assert not list(find_changes(before, {"test": change_in_7(after, by, IN_ONE_REGION["scale"])}))


def test_rows_without_categories_have_no_figures_by_category() -> None:
    rows = priced(DAYS[:7], seed=1)
    assert list(rows.by_category) == ["region"]
    assert not replace(rows, columns={"price": rows.columns["price"]}, categorical={}).by_category
