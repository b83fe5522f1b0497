"""The best single feature of a table: found by value, direction, missing values or category."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tasks.evaluation.references import (
    FeatureRows,
    SingleFeature,
    best_features,
    pooled_auc,
    subsample_requests,
)

N, NAN = 600, float("nan")
RNG = np.random.default_rng(0)
OUTCOMES = (RNG.random(N) < 0.3).astype(float)
REQUESTS = np.arange(N) // 6
Floats = npt.NDArray[np.float64]


def rows(categorical: tuple[str, ...] = (), **features: Floats) -> FeatureRows:
    return FeatureRows(tuple(features), categorical, np.array([*features.values()]).T, OUTCOMES, REQUESTS)


def best_of(rows: FeatureRows) -> SingleFeature:
    best, _ = best_features(rows)
    assert best is not None
    return best


def noise(seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=N)


@given(st.integers(0, 2**32), st.integers(2, 50))
def test_the_pooled_auc_is_that_of_scikit_learn_with_ties(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y, scores = (rng.random(n) < 0.4).astype(float), rng.integers(0, 5, n).astype(float)
    y[:2] = 0, 1
    assert pooled_auc(y, scores) == pytest.approx(roc_auc_score(y, scores))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_counts_whichever_way_it_runs(sign: int) -> None:
    best = best_of(rows(noise=noise(1), price=sign * (OUTCOMES + noise(2) / 2)))
    assert (best.name, best.rising) == ("price", sign == 1)


def test_a_feature_that_is_missing_where_nothing_happened_gives_it_away() -> None:
    """The values mean nothing; that there is one means everything, from either end."""
    filled = np.where(OUTCOMES == 1, noise(3), NAN)
    best = best_of(rows(noise=noise(1), bought_at=filled))
    assert best.name == "bought_at"
    assert roc_auc_score(OUTCOMES, best.scores(filled)) == pytest.approx(1.0)


def test_a_category_counts_by_its_mean_outcome_and_not_by_its_code() -> None:
    """Codes 0 and 2 are seldom clicked, 1 often: no order of the codes says so."""
    codes = np.where(OUTCOMES == 1, 1.0, 2.0 * RNG.integers(0, 2, N))
    best = best_of(rows(("tab",), noise=noise(1), tab=codes))
    assert best.name == "tab"
    assert roc_auc_score(OUTCOMES, best.scores(codes)) == 1.0


def test_a_category_of_many_values_does_not_win_by_knowing_its_own_rows() -> None:
    """With 300 values for 600 rows the means of a meaningless tag reach an AUC of .8 on their own rows."""
    tag = np.random.default_rng(4).integers(0, 300, N).astype(float)
    best = best_of(rows(("tag",), tag=tag, price=OUTCOMES + 3 * noise(5)))
    assert best.name == "price"
    knows = SingleFeature(
        "tag",
        means=np.array([*(OUTCOMES[tag == t].mean() if (tag == t).any() else 0 for t in range(300)), 0.3]),
    )
    assert roc_auc_score(OUTCOMES, knows.scores(tag)) > 0.8


def test_a_feature_of_the_person_is_best_over_all_rows_and_says_nothing_inside_a_request() -> None:
    rate = np.array([OUTCOMES[r == REQUESTS].mean() for r in REQUESTS])
    item = OUTCOMES + 1.5 * noise(6)
    both = best_features(rows(user_click_rate=rate, item_click_rate=item))
    assert [best and best.name for best in both] == ["user_click_rate", "item_click_rate"]


def test_what_was_never_seen_has_the_mean_of_what_is_missing() -> None:
    feature = SingleFeature("tab", means=np.array([0.1, 0.5, 0.3]))
    assert feature.scores(np.array([0.0, 1.0, 9.0, NAN])).tolist() == [0.1, 0.5, 0.3, 0.3]


def test_thinning_keeps_whole_requests_and_what_is_seldom() -> None:
    clicks = np.zeros(N)
    clicks[::60] = 1
    kept = subsample_requests(clicks, REQUESTS, most=90)
    assert np.unique(kept.reshape(-1, 6).sum(axis=1)).tolist() == [0, 6]
    assert clicks[kept].sum() == clicks.sum(), "sixty rows of requests with a positive are no ninety"
    assert kept[clicks == 0].sum() <= 90 + 60


def test_without_features_or_with_one_class_there_is_no_best() -> None:
    assert best_features(FeatureRows((), (), np.empty((N, 0)), OUTCOMES, REQUESTS)) == (None, None)
    one_class = FeatureRows(("a",), (), np.ones((2, 1)), np.zeros(2), np.zeros(2))
    assert best_features(one_class) == (None, None)


def test_without_a_request_of_both_classes_there_is_none_inside_requests() -> None:
    alone = FeatureRows(("a",), (), np.array([[1.0], [2.0]]), np.array([0.0, 1.0]), np.array([0, 1]))
    pooled, by_request = best_features(alone)
    assert pooled is not None
    assert by_request is None
