"""Estimators of one slot: equal to the Open Bandit Pipeline's, and what must hold of any rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.evaluation.binary import Floats
from tasks.evaluation.off_policy.slots import (
    LoggedSlots,
    dm_terms,
    dr_terms,
    ips_terms,
    shrunk_weights,
    snips_terms,
    switched_weights,
)
from tests.evaluation.off_policy.open_bandit_example import PUBLISHED, relative_errors
from tests.evaluation.off_policy.oracle import slot_oracle
from tests.shared_data import needs_open_bandit

weights = arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 100))


def made(weight: Floats, reward: float = 1.0, q: float = 0.5) -> LoggedSlots:
    return LoggedSlots(np.full(len(weight), reward), weight, np.full(len(weight), q), np.full(len(weight), q))


@pytest.mark.parametrize("name", ["ips", "snips", "dm", "dr", "switch_dr", "dros"])
def test_an_estimate_is_that_of_the_open_bandit_pipeline(name: str) -> None:
    oracle = slot_oracle()
    rows = oracle.rows
    terms = {
        "ips": ips_terms(rows),
        "snips": snips_terms(rows),
        "dm": dm_terms(rows),
        "dr": dr_terms(rows),
        "switch_dr": dr_terms(rows, switched_weights(rows.weight, oracle.tau)),
        "dros": dr_terms(rows, shrunk_weights(rows.weight, oracle.shrinkage)),
    }[name]
    assert terms.mean() == pytest.approx(oracle.estimates[name], abs=1e-10)


@needs_open_bandit
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_errors_of_the_pipelines_example_are_reproduced(name: str) -> None:
    """To every digit where no model is fitted, else as near as its README's model is to its optimum."""
    errors, (mean, deviation) = relative_errors()[name], PUBLISHED[name]
    tolerance = 5e-7 if name in {"ipw", "snipw"} else 2e-5
    assert errors.mean() == pytest.approx(mean, abs=tolerance)
    assert errors.std(ddof=1) == pytest.approx(deviation, abs=tolerance)


@given(weights)
def test_without_a_model_dr_is_ips(weight: Floats) -> None:
    rows = made(weight, q=0.0)
    assert dr_terms(rows).tolist() == ips_terms(rows).tolist()


@given(weights)
def test_a_model_that_is_right_of_every_row_leaves_nothing_to_weigh(weight: Floats) -> None:
    rows = made(weight, reward=0.5)
    assert dr_terms(rows).tolist() == dm_terms(rows).tolist()


@given(weights, st.floats(1e-3, 1e6))
def test_limited_weights_are_never_above_the_rows_own(weight: Floats, limit: float) -> None:
    assert (switched_weights(weight, limit) <= weight).all()
    shrunk = shrunk_weights(weight, limit)
    assert (shrunk <= weight + 1e-12).all()
    assert (shrunk <= np.sqrt(limit) / 2 * (1 + 1e-9)).all()


@given(weights)
def test_without_a_limit_weights_stay_as_they_are(weight: Floats) -> None:
    assert switched_weights(weight, np.inf).tolist() == weight.tolist()
    assert shrunk_weights(weight, np.inf).tolist() == weight.tolist()


def test_snips_of_one_reward_is_that_reward_whatever_the_weights() -> None:
    assert snips_terms(made(np.array([0.1, 7.0, 0.0]))).mean() == pytest.approx(1.0)


def test_snips_without_any_weight_is_unknown() -> None:
    assert np.isnan(snips_terms(made(np.zeros(3)))).all()
