"""Figures of groups: each is that of its rows alone, as `tasks.evaluation.clustered` computes it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from tasks.evaluation.clustered import Ratio, RowClusters, clustered_interval, relative_change
from tasks.evaluation.verdicts import Estimate
from tasks.replay.grouped import GroupedRows, divide_grouped, grouped_ratio, paired_estimates


def figures(found: Estimate | None) -> tuple[float, ...]:
    assert found is not None
    return (found.value, found.low, found.high, found.n)


def near(wanted: Estimate) -> Any:
    return pytest.approx(figures(wanted), nan_ok=True, rel=1e-9, abs=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_groups_of_one_pass_are_the_groups_one_by_one(seed: int, count: int) -> None:
    rng, size = np.random.default_rng(seed), 600
    codes = rng.integers(0, count, size)
    clusters = RowClusters(rng.integers(0, 90, size), rng.integers(0, 40, size), rng.integers(0, 7, size))
    positive = rng.random(size) < 0.1
    ours, theirs = (
        Ratio(
            positive * rng.random(size),
            (rng.random(size) < 0.6) * rng.random(size),
            None,
            positive,
            noise=spread * rng.random(size),
        )
        for spread in (0.1, 1.0)
    )
    rows = GroupedRows.of(codes, count, clusters)
    for code, found in enumerate(
        paired_estimates(grouped_ratio(ours, rows), grouped_ratio(theirs, rows), rows)
    ):
        mine = codes == code
        alone = RowClusters(clusters.users[mine], clusters.items[mine], clusters.days[mine])
        events = int(positive[mine].sum())
        a, b = (
            Ratio(one.numerator[mine], one.denominator[mine], events, noise=one.noise[mine]).statistic
            for one in (ours, theirs)
            if one.noise is not None
        )
        assert figures(found.policy) == near(clustered_interval(a, alone))
        assert figures(found.baseline) == near(clustered_interval(b, alone))
        assert figures(found.relative) == near(clustered_interval(relative_change(a, b), alone))
        assert found.events == events


def test_an_interval_is_at_least_as_wide_as_the_expected_noise_of_its_rows() -> None:
    """Of rows that all say the same the clusters vary by nothing, and by expectation the sum by 10 x .3 / 100."""
    each = np.arange(100)
    noise = Ratio(np.full(100, 0.5), np.ones(100), noise=np.full(100, 0.3)).statistic
    found = clustered_interval(noise, RowClusters(each, each, each))
    assert (found.value, found.high - found.value) == pytest.approx((0.5, t(99).ppf(0.975) * 0.03))


def test_the_noise_of_an_outcome_that_both_policies_have_cancels_in_their_change() -> None:
    each, noise = np.arange(100), np.full(100, 0.3)
    ours = Ratio(np.full(100, 0.5), np.ones(100), noise=noise).statistic
    rows = RowClusters(each, each, each)
    assert clustered_interval(relative_change(ours, ours), rows).high == pytest.approx(0.0)
    apart = replace(ours, noise=np.zeros(100))  # half the level, so the change is twice as uncertain
    assert clustered_interval(relative_change(ours, apart), rows).high == pytest.approx(
        2 * t(99).ppf(0.975) * 0.03
    )


def test_a_group_that_holds_nothing_has_no_figure() -> None:
    rows = GroupedRows.of(np.array([0, 0]), 2, RowClusters(*[np.array([0, 1])] * 3))
    empty = paired_estimates(grouped_ratio(Ratio(np.ones(2), np.ones(2)), rows), None, rows)[1]
    assert np.isnan(empty.policy.value)
    assert (empty.policy.n, empty.baseline, empty.relative, empty.events) == (0, None, None, None)


def test_a_quotient_of_two_rates_is_as_uncertain_as_their_relative_change() -> None:
    rng, each = np.random.default_rng(4), np.arange(900)
    clusters = RowClusters(each // 3, each % 50, each % 9)
    above, below = (Ratio(rng.random(900), rng.random(900)) for _ in range(2))
    rows = GroupedRows.of(np.zeros(900, dtype=np.intp), 1, clusters)
    quotient = divide_grouped(grouped_ratio(above, rows), grouped_ratio(below, rows), rows)
    (found,) = paired_estimates(quotient, None, rows)
    change = clustered_interval(relative_change(above.statistic, below.statistic), clusters)
    wanted = Estimate(change.value + 1, change.low + 1, change.high + 1, change.n)
    assert figures(found.policy) == near(wanted)


def test_few_users_give_a_figure_without_an_interval() -> None:
    each = np.arange(60)
    clusters, ratio = RowClusters(each // 10, each, each % 9), Ratio(np.ones(60), np.full(60, 2.0))
    alone = clustered_interval(ratio.statistic, clusters)
    assert (alone.value, alone.n, alone.known) == (0.5, 6, False)
    rows = GroupedRows.of(np.zeros(60, dtype=np.intp), 1, clusters)
    assert figures(paired_estimates(grouped_ratio(ratio, rows), None, rows)[0].policy) == near(alone)
