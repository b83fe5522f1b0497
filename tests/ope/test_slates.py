"""Estimators of slates: equal to the Open Bandit Pipeline's, to each other where they must, and by hand."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.arrays import Floats
from tasks.ope.slates import (
    BEHAVIORS,
    LoggedPlaces,
    adaptive_terms,
    behavior_matrices,
    cascade_dr_terms,
    iips_terms,
    place_weights,
    prefix_weights,
    rips_terms,
    sips_terms,
)
from tests.ope.oracle import slate_notebook, slate_oracle


@pytest.mark.parametrize("name", ["sips", "iips", "rips", "cascade_dr"])
def test_an_estimate_is_that_of_the_open_bandit_pipeline(name: str) -> None:
    oracle = slate_oracle()
    terms = {
        "sips": sips_terms(oracle.reward, oracle.weight),
        "iips": iips_terms(oracle.reward, oracle.weight),
        "rips": rips_terms(oracle.reward, oracle.weight),
        "cascade_dr": cascade_dr_terms(oracle.reward, oracle.weight, oracle.predicted, oracle.expected),
    }[name]
    assert terms.mean() == pytest.approx(oracle.estimates[name], abs=1e-10)


@pytest.mark.parametrize(
    ("name", "published"),
    [("sips", 1.6294739378548564), ("iips", 1.6747498475897074), ("rips", 1.6268338407518059)],
)
def test_the_published_figures_of_the_pipelines_slate_notebook_are_reproduced(
    name: str, published: float
) -> None:
    """What the notebook prints is the mean of its resamples, beside their interval."""
    notebook = slate_notebook()
    terms = {
        "sips": lambda: sips_terms(notebook.reward, notebook.in_view()),
        "iips": lambda: iips_terms(notebook.reward, notebook.by_place()),
        "rips": lambda: rips_terms(notebook.reward, notebook.in_view()),
    }[name]()
    assert terms.mean() == pytest.approx(notebook.estimates[name], abs=1e-12)
    means = notebook.resample(terms)
    assert means.mean() == pytest.approx(published, abs=1e-12)
    assert [means.mean(), *np.percentile(means, [2.5, 97.5])] == pytest.approx(
        notebook.published[name], abs=1e-12
    )


def test_of_the_notebooks_intervals_that_of_iips_alone_misses_the_published_true_value() -> None:
    """Its rewards depend on the items above."""
    notebook = slate_notebook()
    assert notebook.true_value == pytest.approx(1.6125410474183628, abs=1e-12)
    held = {name: low < notebook.true_value < high for name, (_, low, high) in notebook.published.items()}
    assert held == {"sips": True, "iips": False, "rips": True}


@pytest.mark.parametrize(
    ("behavior", "terms"), [("independent", iips_terms), ("cascade", rips_terms), ("standard", sips_terms)]
)
def test_adaptive_ips_of_one_behavior_is_the_estimator_of_it(
    behavior: str, terms: Callable[[Floats, Floats], Floats]
) -> None:
    oracle = slate_oracle()
    n, length = oracle.reward.shape
    depends = behavior_matrices(np.full(n, BEHAVIORS.index(behavior)), length)
    found = adaptive_terms(oracle.reward, oracle.weight, depends)
    assert found == pytest.approx(terms(oracle.reward, oracle.weight))


def test_each_slate_is_weighted_by_its_own_behavior() -> None:
    weight, depends = np.array([[2.0, 3.0], [2.0, 3.0]]), behavior_matrices(np.array([0, 2]), 2)
    assert adaptive_terms(np.ones((2, 2)), weight, depends).tolist() == [5.0, 12.0]


def test_a_reward_may_depend_on_any_slots() -> None:
    reward, weight = np.array([[1.0, 0.0, 1.0]]), np.array([[2.0, 3.0, 5.0]])
    next_to = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) <= 1
    assert adaptive_terms(reward, weight, next_to[None]).tolist() == [2 * 3 + 3 * 5]


def test_of_one_slot_all_are_ips() -> None:
    slates = np.array([[1.0], [0.0]]), np.array([[0.5], [2.0]])
    every: list[Floats] = [terms(*slates) for terms in (sips_terms, iips_terms, rips_terms)]
    none = np.zeros((2, 1))
    assert all(found.tolist() == [0.5, 0.0] for found in (*every, cascade_dr_terms(*slates, none, none)))


def test_a_slot_that_is_not_there_changes_nothing() -> None:
    short = np.array([[1.0, 1.0]]), np.array([[0.5, 3.0]])
    padded = np.array([[1.0, 1.0, 0.0]]), np.array([[0.5, 3.0, 1.0]])
    for terms in (sips_terms, iips_terms, rips_terms):
        assert terms(*short).tolist() == terms(*padded).tolist()


Weights = Callable[[LoggedPlaces, npt.NDArray[np.int64]], npt.NDArray[np.float64]]
WEIGHTS = (prefix_weights, place_weights)
RANKING = np.array([2, 3, 1, 0])
"""Slots of four candidates: the third comes first, the last is left out."""


def every_draw(scores: list[float], places: int) -> list[tuple[float, LoggedPlaces]]:
    """Return each page that a logger may draw one by one, with its chance."""
    drawn = []
    for order in permutations(range(len(scores)), places):
        left, position = list(range(len(scores))), np.full(len(scores), np.nan)
        propensity = np.full(len(scores), np.nan)
        for place, item in enumerate(order, start=1):
            position[item] = place
            propensity[item] = scores[item] / sum(scores[one] for one in left)
            left.remove(item)
        page = LoggedPlaces(np.zeros(len(scores), dtype=np.intp), position, propensity)
        drawn.append((float(np.nanprod(propensity)), page))
    return drawn


@pytest.mark.parametrize("weights", WEIGHTS)
@given(scores=st.lists(st.floats(0.2, 5.0), min_size=4, max_size=4))
def test_over_all_draws_each_slot_has_a_weight_of_one(weights: Weights, scores: list[float]) -> None:
    mean = np.sum([chance * weights(page, RANKING) for chance, page in every_draw(scores, 3)], axis=0)
    assert mean == pytest.approx([1.0, 1.0, 1.0, 0.0])


def test_an_outcome_of_item_and_place_is_told_without_bias_by_both() -> None:
    """What a look leads to is the item's; each place is looked at by its share."""
    scores, likes, looks = [1.0, 2.0, 4.0, 0.5], np.array([0.1, 0.3, 0.2, 0.9]), np.array([1.0, 0.6, 0.3])
    slots = RANKING > 0
    true = (looks[RANKING[slots] - 1] * likes[slots]).sum()
    for weights in WEIGHTS:
        found = 0.0
        for chance, page in every_draw(scores, 3):
            shown = np.isfinite(page.positions) & slots
            seen = likes[shown]  # an outcome over the examination of the place where it was logged
            found += chance * (weights(page, RANKING)[shown] * looks[RANKING[shown] - 1] * seen).sum()
        assert found == pytest.approx(true)


def test_agreement_from_the_top_ends_with_the_first_other_item() -> None:
    page = LoggedPlaces(np.zeros(4, dtype=np.intp), np.array([1.0, 3.0, 2.0, 4.0]), np.full(4, 0.5))
    assert prefix_weights(page, np.array([1, 2, 3, 4])).tolist() == [2.0, 0.0, 0.0, 0.0]
    assert place_weights(page, np.array([1, 2, 3, 4])).tolist() == [2.0, 0.0, 1.0, 2.0]


def test_a_place_that_is_missing_above_ends_agreement_too() -> None:
    page = LoggedPlaces(np.zeros(2, dtype=np.intp), np.array([1.0, 3.0]), np.full(2, 0.5))
    assert prefix_weights(page, np.array([1, 3])).tolist() == [2.0, 0.0]


def test_requests_are_told_apart_in_any_order_of_rows() -> None:
    requests, position = np.array([1, 0, 1, 0]), np.array([2.0, 1.0, 1.0, 2.0])
    page = LoggedPlaces(requests, position, np.array([0.5, 0.25, 0.2, 1.0]))
    assert prefix_weights(page, np.array([2, 1, 1, 2])) == pytest.approx([10.0, 4.0, 5.0, 4.0])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_without_rows_there_is_no_weight(weights: Weights) -> None:
    nothing = LoggedPlaces(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0))
    assert len(weights(nothing, np.zeros(0, dtype=np.int64))) == 0


def test_weights_too_large_for_a_float_are_infinite_and_not_an_error() -> None:
    page = LoggedPlaces(np.zeros(3, dtype=np.intp), np.array([1.0, 2.0, 3.0]), np.full(3, 1e-200))
    assert np.isinf(prefix_weights(page, np.array([1, 2, 3]))[2])
