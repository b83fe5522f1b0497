"""Perturbed weights: signs that are fair, independent and kept, and a decision that says what it used."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from tasks.contracts.base import canonical, digest
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import Perturbation, UtilitySpec
from tasks.errors import DataError
from tasks.ranking.decide import Decision, decide
from tasks.ranking.explain import explain
from tasks.ranking.utility import weight_factors
from tests.ranking.policies import frame_of, slate_json, utility_json

RULE = Perturbation(size=0.05, salt="spring")
USERS = pd.DataFrame({"user_id": [f"u{n}" for n in range(20_000)]})
WEIGHTS = {"click": 1.0, "hide": -2.0}
ROWS: list[dict[str, Any]] = [
    {"request_id": f"r{user}", "user_id": user, "item_id": item, "p_click": p, "p_hide": q}
    for user in ("ana", "bo", "cy", "di")
    for item, p, q in (("a", 0.5, 0.2), ("b", 0.2, 0.05))
]


def perturbed(rows: list[dict[str, Any]] = ROWS, **fields: Any) -> Decision:
    frame, predictions = frame_of(rows)
    fields = {"weights": WEIGHTS, "perturbation": {"size": 0.1, "salt": "s"}} | fields
    policies = UtilitySpec.model_validate(utility_json(**fields)), SlateSpec.model_validate(slate_json())
    return decide(frame, predictions, *policies)


def test_both_signs_are_as_likely_and_of_one_size() -> None:
    factors = weight_factors(USERS, "click", RULE)
    assert set(factors) == {0.95, 1.05}
    assert np.mean(factors > 1) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(("term", "salt"), [("hide", "spring"), ("click", "summer")])
def test_signs_of_another_weight_or_salt_are_independent(term: str, salt: str) -> None:
    one, other = (
        np.sign(weight_factors(USERS, t, Perturbation(size=0.05, salt=s)) - 1)
        for t, s in (("click", "spring"), (term, salt))
    )
    assert np.mean(one * other) == pytest.approx(0, abs=0.03)


def test_a_user_keeps_the_signs_in_any_order_of_rows_and_however_numbers_are_stored() -> None:
    numbers = pd.DataFrame({"user_id": [7, 8, 9, 7]})
    factors = weight_factors(numbers, "click", RULE)
    assert factors[0] == factors[3]
    assert weight_factors(numbers[::-1], "click", RULE).tolist() == factors[::-1].tolist()
    assert weight_factors(numbers.astype(float), "click", RULE).tolist() == factors.tolist()


def test_the_utility_is_that_of_the_moved_weights_which_are_written() -> None:
    decision = perturbed()
    frame = decision.frame
    rows = pd.DataFrame(ROWS)
    wanted = rows.p_click * frame.factor_click - 2.0 * rows.p_hide * frame.factor_hide
    assert frame.utility.to_numpy() == pytest.approx(wanted.to_numpy())
    assert set(frame.factor_click) <= {0.9, 1.1}
    assert frame.groupby(rows.user_id).factor_click.nunique().eq(1).all()


def test_without_a_perturbation_nothing_is_written_and_the_digest_stays() -> None:
    assert not [name for name in perturbed(perturbation=None).frame if str(name).startswith("factor_")]
    spec = UtilitySpec.model_validate(utility_json(weights=WEIGHTS))
    assert "perturbation" not in canonical(spec)
    moved = UtilitySpec.model_validate(utility_json(weights=WEIGHTS, perturbation={"size": 0.1, "salt": "s"}))
    assert digest(canonical(spec)) != digest(canonical(moved))


def test_with_an_offset_the_lowest_total_is_still_above_zero() -> None:
    worst = [{**row, "p_click": 0.0, "p_hide": 1.0} for row in ROWS]
    assert (perturbed(worst, offset={"scale": 0.001}).utility >= 0).all()


def test_an_explanation_shows_the_weight_that_was_used() -> None:
    frame, predictions = frame_of(ROWS)
    policies = (
        UtilitySpec.model_validate(utility_json(weights=WEIGHTS, perturbation={"size": 0.1, "salt": "s"})),
        SlateSpec.model_validate(slate_json()),
    )
    components = explain(frame, predictions, *policies, request_id="rana").components
    assert (components.weight * components.prediction).to_numpy() == pytest.approx(
        components.contribution.to_numpy()
    )
    assert set(components.weight.abs().round(6)) <= {0.9, 1.1, 1.8, 2.2}


def test_candidates_without_users_are_refused() -> None:
    with pytest.raises(DataError, match="user_id"):
        perturbed([{k: v for k, v in row.items() if k != "user_id"} for row in ROWS])


@pytest.mark.parametrize("change", [{"size": 0}, {"size": 0.5}, {"size": -0.1}, {"salt": ""}, {"sign": 1}])
def test_a_perturbation_is_small_and_salted(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        utility_json(perturbation={"size": 0.05, "salt": "s"} | change)
