"""Estimators of slates: equal to the Open Bandit Pipeline's, to each other where they must, and by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from tasks.arrays import Floats
from tasks.ope.slates import (
    BEHAVIORS,
    LoggedSlates,
    adaptive_terms,
    behavior_matrices,
    cascade_dr_terms,
    iips_terms,
    rips_terms,
    sips_terms,
)
from tests.ope.oracle import slate_notebook, slate_oracle


@pytest.mark.parametrize("name", ["sips", "iips", "rips", "cascade_dr"])
def test_an_estimate_is_that_of_the_open_bandit_pipeline(name: str) -> None:
    oracle = slate_oracle()
    terms = {
        "sips": sips_terms(oracle.slates),
        "iips": iips_terms(oracle.slates),
        "rips": rips_terms(oracle.slates),
        "cascade_dr": cascade_dr_terms(oracle.slates, oracle.predicted, oracle.expected),
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
        "sips": lambda: sips_terms(notebook.in_view()),
        "iips": lambda: iips_terms(notebook.by_place()),
        "rips": lambda: rips_terms(notebook.in_view()),
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
    behavior: str, terms: Callable[[LoggedSlates], Floats]
) -> None:
    slates = slate_oracle().slates
    n, length = slates.reward.shape
    depends = behavior_matrices(np.full(n, BEHAVIORS.index(behavior)), length)
    assert adaptive_terms(slates, depends) == pytest.approx(terms(slates))


def test_each_slate_is_weighted_by_its_own_behavior() -> None:
    slates = LoggedSlates(np.ones((2, 2)), np.array([[2.0, 3.0], [2.0, 3.0]]))
    assert adaptive_terms(slates, behavior_matrices(np.array([0, 2]), 2)).tolist() == [5.0, 12.0]


def test_a_reward_may_depend_on_any_slots() -> None:
    slates = LoggedSlates(np.array([[1.0, 0.0, 1.0]]), np.array([[2.0, 3.0, 5.0]]))
    next_to = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) <= 1
    assert adaptive_terms(slates, next_to[None]).tolist() == [2 * 3 + 3 * 5]


def test_of_one_slot_all_are_ips() -> None:
    slates = LoggedSlates(np.array([[1.0], [0.0]]), np.array([[0.5], [2.0]]))
    every: list[Floats] = [terms(slates) for terms in (sips_terms, iips_terms, rips_terms)]
    none = np.zeros((2, 1))
    assert all(found.tolist() == [0.5, 0.0] for found in (*every, cascade_dr_terms(slates, none, none)))


def test_a_slot_that_is_not_there_changes_nothing() -> None:
    short = LoggedSlates(np.array([[1.0, 1.0]]), np.array([[0.5, 3.0]]))
    padded = LoggedSlates(np.array([[1.0, 1.0, 0.0]]), np.array([[0.5, 3.0, 1.0]]))
    for terms in (sips_terms, iips_terms, rips_terms):
        assert terms(short).tolist() == terms(padded).tolist()
