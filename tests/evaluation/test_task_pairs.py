"""A proxy is held against the outcome that it stands for, tenth by tenth."""

import math

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.evaluation.task_pairs import ProxyReport, proxy_report

RNG = np.random.default_rng(5)
N = 8000
USERS = RNG.integers(400, size=N)
CLICK = RNG.beta(1, 8, N)
SATISFIED = (RNG.random(N) < 0.05 + 0.8 * CLICK).astype(float)
TOP = np.sort(CLICK)[-N // 10] <= CLICK
BAITED = np.where(TOP, 0.005, 0.05 + 0.8 * CLICK)
REGRETTED = (RNG.random(N) < BAITED).astype(float)


@pytest.fixture(scope="module")
def sound() -> ProxyReport:
    return proxy_report(CLICK, SATISFIED, USERS)


@pytest.fixture(scope="module")
def gamed() -> ProxyReport:
    return proxy_report(CLICK, REGRETTED, USERS)


def test_the_tenths_are_those_of_pandas(sound: ProxyReport) -> None:
    cut = pd.DataFrame({"p": CLICK, "y": SATISFIED}).groupby(pd.qcut(CLICK, 10, labels=False))
    assert [tenth.rows for tenth in sound.tenths] == [N // 10] * 10
    np.testing.assert_allclose([t.outcome.value for t in sound.tenths], cut["y"].mean())
    np.testing.assert_allclose([t.predicted for t in sound.tenths], cut["p"].mean())
    assert [t.positives for t in sound.tenths] == cut["y"].sum().tolist()


def test_a_sound_proxy_leads_up_and_its_gap_lies_above_zero(sound: ProxyReport) -> None:
    assert sound.gap.low > 0
    assert not sound.worst_at_top
    assert sound.mean.low < SATISFIED.mean() < sound.mean.high


def test_a_gamed_proxy_is_found_out(gamed: ProxyReport) -> None:
    assert gamed.gap.value == pytest.approx(REGRETTED[TOP].mean() - REGRETTED[~TOP].mean())
    assert gamed.gap.high < 0
    assert gamed.worst_at_top


def test_of_a_cost_less_is_better(sound: ProxyReport) -> None:
    as_cost = proxy_report(CLICK, SATISFIED, USERS, cost=True)
    assert as_cost.gap.value == pytest.approx(-sound.gap.value)
    assert as_cost.gap.high < 0
    assert as_cost.worst_at_top


def test_the_order_of_the_rows_does_not_matter(sound: ProxyReport) -> None:
    order = RNG.permutation(N)
    again = proxy_report(CLICK[order], SATISFIED[order], USERS[order])
    assert [t.outcome.value for t in again.tenths] == pytest.approx([t.outcome.value for t in sound.tenths])
    assert again.gap.value == pytest.approx(sound.gap.value)


def test_no_slow_outcome_at_all_tells_nothing() -> None:
    found = proxy_report(CLICK, np.zeros(N), USERS)
    assert found.gap.value == 0
    assert not found.gap.known
    assert not any(tenth.outcome.known for tenth in found.tenths)


def test_a_top_tenth_without_a_single_outcome_tells_how_it_is_but_not_how_surely() -> None:
    found = proxy_report(CLICK, np.where(TOP, 0.0, SATISFIED), USERS)
    assert found.gap.value == pytest.approx(-SATISFIED[~TOP].mean())
    assert not found.gap.known
    assert found.worst_at_top


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_a_row_tells_nothing(rows: int) -> None:
    found = proxy_report(CLICK[:rows], SATISFIED[:rows], USERS[:rows])
    assert len(found.tenths) == rows
    assert math.isnan(found.gap.value)
    assert not found.worst_at_top


def test_an_unknown_outcome_has_no_place_in_it() -> None:
    with pytest.raises(DataError, match="1 of 2 outcomes are not finite"):
        proxy_report([0.1, 0.2], [1.0, float("nan")], ["u", "v"])
