"""Heads beside a constant and the best feature: leaks, constants, and values worse than their mean."""

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from tasks.evaluation.observations import Observations
from tasks.evaluation.references import FeatureRows, HeadReferences, head_references
from tests.known import known

N = 1200
Floats = npt.NDArray[np.float64]


def world(seed: int) -> tuple[Floats, Floats, Floats]:
    """Return features [n, 2], clicks and seconds watched; the first feature means something."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N, 2))
    clicks = (rng.random(N) < 1 / (1 + np.exp(1 - features[:, 0]))).astype(float)
    return features, clicks, np.maximum(0, 10 + 5 * features[:, 0] + 10 * rng.normal(size=N))


LEARNED, TESTED = world(1), world(2)
USERS, REQUESTS = np.arange(N) % 150, np.arange(N) // 6


def beside(
    predictions: Floats, *, value: bool = False, leak: bool = False, by_request: bool = True
) -> HeadReferences:
    """Hold predictions of the test rows against references; a leak puts the outcome among the features."""
    learned, tested = ((side[0], side[2] if value else side[1]) for side in (LEARNED, TESTED))
    names = ("price", "noise", "refund") if leak else ("price", "noise")
    matrices = [np.c_[features, outcomes] if leak else features for features, outcomes in (learned, tested)]
    before = FeatureRows(names, (), matrices[0], learned[1], REQUESTS)
    seen = Observations(tested[1], predictions, USERS, REQUESTS)
    feature = dict(zip(names, matrices[1].T, strict=True)).__getitem__
    base = float(learned[1].mean())
    return head_references(seen, feature, before, base=base, value=value, by_request=by_request)


def test_a_feature_that_is_the_outcome_is_named_with_an_auc_of_one() -> None:
    found = beside(TESTED[0][:, 0], leak=True)
    for ranked in (found.auc, found.auc_by_request):
        assert ranked is not None
        assert (ranked.feature, ranked.best.value, ranked.best.low) == ("refund", 1.0, 1.0)
        assert ranked.gain.high < 0, "the head ranks worse than the leak alone"


def test_an_honest_head_stands_beside_the_feature_that_it_uses() -> None:
    features, clicks, _ = TESTED
    found = beside(features[:, 0])
    assert found.auc is not None
    assert found.auc.feature == "price"
    assert found.auc.head.value == pytest.approx(roc_auc_score(clicks, features[:, 0]))
    assert (found.auc.gain.value, found.auc.gain.low, found.auc.gain.high) == (0.0, 0.0, 0.0)
    assert found.base == LEARNED[1].mean()
    assert found.relative_squared_error is None


def test_the_best_feature_is_chosen_on_other_rows() -> None:
    """On the test rows alone the noise would rank one way or the other above a half."""
    found = beside(TESTED[0][:, 0])
    assert known(found.auc).best.value == pytest.approx(roc_auc_score(TESTED[1], TESTED[0][:, 0]))


def test_the_mean_of_other_rows_has_a_relative_squared_error_of_one() -> None:
    found = known(beside(np.full(N, LEARNED[2].mean()), value=True).relative_squared_error)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_the_relative_squared_error_is_one_less_the_share_of_variance_explained() -> None:
    """The mean of the learned rows is not quite that of the test rows: R2 takes the latter."""
    good = 10 + 5 * TESTED[0][:, 0]
    error = known(beside(good, value=True).relative_squared_error)
    assert error.value == pytest.approx(1 - r2_score(TESTED[2], good), abs=0.01)
    assert error.high < 1


def test_a_value_head_worse_than_the_mean_says_so() -> None:
    turned = 10 - 5 * TESTED[0][:, 0]
    error = known(beside(turned, value=True).relative_squared_error)
    assert error.low > 1


def test_a_value_that_stands_among_the_features_is_named() -> None:
    found = beside(TESTED[2] + 1.0, value=True, leak=True)
    assert found.auc is not None
    assert (found.auc.feature, found.auc.best.value) == ("refund", 1.0)
    assert found.auc.head.value == 1.0


def test_a_request_level_head_has_no_order_inside_requests() -> None:
    found = beside(TESTED[0][:, 0], by_request=False)
    assert found.auc is not None
    assert found.auc_by_request is None
