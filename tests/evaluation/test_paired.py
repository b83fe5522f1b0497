"""Losses against the champion: counted by hand, and against scikit-learn where rows are many."""

import math
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tasks.errors import DataError
from tasks.evaluation import binary, ranking_metrics
from tasks.evaluation.observations import Grouping
from tasks.evaluation.paired import (
    PairedRows,
    auc_by_request_drop,
    auc_drop,
    normalized_entropy_rise,
    pinball_losses,
    relative_pinball_loss_rise,
    relative_squared_error_rise,
)
from tasks.evaluation.resampling import cluster_rows
from tasks.evaluation.subjects import Segment
from tasks.evaluation.verdicts import Estimate

USERS, REQUESTS, PAGE = 200, 800, 8
Floats = npt.NDArray[np.float64]


def feed(seed: int = 0) -> tuple[Floats, Floats, Floats, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return clicks, log odds of the person and of the item, users and requests of simulated pages."""
    rng = np.random.default_rng(seed)
    requests = np.repeat(np.arange(REQUESTS), PAGE)
    users = rng.integers(USERS, size=REQUESTS)[requests]
    person, item = rng.normal(scale=1.5, size=USERS)[users], rng.normal(size=requests.size)
    clicks = (rng.random(requests.size) < _probability(person + item)).astype(float)
    return clicks, person, item, users, requests


def _probability(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(2 - log_odds)))


def test_a_challenger_equal_to_its_champion_drops_exactly_nothing() -> None:
    y, person, item, users, requests = feed()
    p = _probability(person + item)
    rows = PairedRows(y, p, p, users, requests)
    assert auc_drop(rows) == Estimate(0.0, 0.0, 0.0, np.unique(users).size)
    for (loss,) in (auc_by_request_drop(rows), normalized_entropy_rise(rows)):
        assert (loss.value, loss.low, loss.high) == (0.0, 0.0, 0.0)


def test_paired_differences_are_told_where_single_intervals_overlap() -> None:
    y, person, item, users, requests = feed(seed=2)
    noise = 0.4 * np.random.default_rng(3).normal(size=y.size)
    good, worse = _probability(person + item), _probability(person + item + noise)
    rows = PairedRows(y, good, worse, users, requests)
    drop, falling = auc_drop(rows), ranking_metrics.FallingRows.of(*binary.check_binary(y, good))
    (alone,), _ = ranking_metrics.ranked_intervals(falling, cluster_rows(users), 200)
    assert drop.value == pytest.approx(roc_auc_score(y, good) - roc_auc_score(y, worse))
    assert drop.low > 0
    assert drop.high - drop.low < (alone.high - alone.low) / 2
    (rise,) = normalized_entropy_rise(rows)
    expected = binary.normalized_entropy(y, worse) - binary.normalized_entropy(y, good)
    assert rise.value == pytest.approx(expected)
    assert rise.low > 0


def test_the_order_within_requests_can_be_lost_where_pooled_auc_rises() -> None:
    """A challenger that knows people better and items not at all: what it orders is left to chance."""
    y, person, item, users, requests = feed(seed=4)
    champion = _probability(item)
    noise = 1e-6 * np.random.default_rng(5).normal(size=y.size)
    challenger = _probability(person + noise)
    rows = PairedRows(y, champion, challenger, users, requests)
    assert auc_drop(rows).high < 0, "pooled, it ranks better"
    (drop,) = auc_by_request_drop(rows)
    assert drop.low > 0.15
    assert binary.request_pairs(y, challenger, requests).auc == pytest.approx(0.5, abs=0.02)


def test_pairs_weigh_alike_and_are_counted_by_hand() -> None:
    """Request r: 1 positive, 3 negatives, all pairs won before and one lost now; s: 1 pair, won by both."""
    y = [1, 0, 0, 0, 1, 0]
    champion = [0.9, 0.1, 0.2, 0.3, 0.8, 0.1]
    challenger = [0.5, 0.1, 0.2, 0.6, 0.8, 0.1]
    (drop,) = auc_by_request_drop(PairedRows(y, champion, challenger, list("uuuuvv"), list("rrrrss")))
    assert drop.value == pytest.approx(1 / 4)
    assert drop.n == 2


def test_pairs_are_of_one_request_and_one_segment() -> None:
    """The only lost pair of request r joins two segments, so neither segment has lost one."""
    y = [1, 0, 0, 1, 0]
    champion, challenger = [0.9, 0.1, 0.2, 0.9, 0.1], [0.5, 0.1, 0.7, 0.9, 0.1]
    segments = Grouping((Segment("source", "ads"), Segment("source", "feed")), np.array([1, 1, 0, 0, 0]))
    rows = PairedRows(y, champion, challenger, list("uuuvv"), list("rrrss"))
    ads, feed_ = auc_by_request_drop(rows, segments)
    assert (ads.value, feed_.value) == (0.0, 0.0)
    assert auc_by_request_drop(rows)[0].value == pytest.approx(1 / 3)


def test_each_segment_is_compared_on_its_own_rows() -> None:
    y, person, item, users, requests = feed(seed=6)
    new = (users % 4 == 0).astype(np.intp)
    good = _probability(person + item)
    harmed = np.where(new == 1, _probability(person - item), good)
    rows = PairedRows(y, good, harmed, users, requests)
    segments = Grouping((Segment("new", "false"), Segment("new", "true")), new)
    old_drop, new_drop = auc_by_request_drop(rows, segments)
    assert (old_drop.value, old_drop.high) == (0.0, 0.0)
    assert new_drop.low > 0.1
    old_rise, new_rise = normalized_entropy_rise(rows, segments)
    assert old_rise.value == 0.0
    expected = [binary.normalized_entropy(y[new == 1], p[new == 1]) for p in (harmed, good)]
    assert new_rise.value == pytest.approx(expected[0] - expected[1])


def test_without_rows_or_without_a_pair_nothing_is_told() -> None:
    nothing = PairedRows([], [], [], [], [])
    assert not auc_drop(nothing).known
    assert not any(loss.known for loss in (*auc_by_request_drop(nothing), *normalized_entropy_rise(nothing)))
    alone = PairedRows([1, 0], [0.9, 0.1], [0.9, 0.1], ["u", "v"], ["r", "s"])
    assert np.isnan(auc_by_request_drop(alone)[0].value)


@pytest.mark.parametrize(
    ("positives", "negatives", "users"),
    [(9, 40, 49), (30, 30, 19)],
    ids=["nine positives", "nineteen users"],
)
def test_too_little_data_gives_no_interval(positives: int, negatives: int, users: int) -> None:
    outcomes = np.r_[np.ones(positives), np.zeros(negatives)]
    who = np.arange(outcomes.size) % users
    same = np.linspace(0.5, 0.9, outcomes.size)
    rows = PairedRows(outcomes, same, same, who, who)
    drops = [auc_drop(rows), *auc_by_request_drop(rows), *normalized_entropy_rise(rows)]
    assert not any(drop.known for drop in drops)


def test_an_order_needs_negatives_too_and_an_entropy_does_not() -> None:
    outcomes, who = np.r_[np.ones(40), np.zeros(9)], np.arange(49)
    same = np.linspace(0.5, 0.9, 49)
    rows = PairedRows(outcomes, same, same, who, who)
    assert not auc_drop(rows).known
    assert normalized_entropy_rise(rows)[0].known


def test_a_segment_of_few_users_has_no_interval() -> None:
    """Of 19 users that have a pair an interval would be too narrow."""
    y, person, item, users, requests = feed(seed=7)
    few = np.isin(users, np.unique(users)[:19])
    segments = Grouping((Segment("rest", "false"), Segment("rest", "true")), (~few).astype(np.intp))
    rows = PairedRows(y, _probability(person + item), _probability(person - item), users, requests)
    thin, rest = auc_by_request_drop(rows, segments)
    assert (thin.known, rest.known) == (False, True)
    assert thin.value > 0


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
