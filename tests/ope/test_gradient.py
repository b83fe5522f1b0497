"""The gradient from perturbed weights: that of the decision itself, with intervals that hold it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.arrays import Floats
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.ope.gradient import estimate_gradient
from tasks.ranking.decide import decide
from tests.ranking.policies import utility_json

WEIGHTS = {"click": 1.0, "purchase": 6.0}
SLATE = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 1})


def feed(rng: np.random.Generator, users: int) -> tuple[pd.DataFrame, dict[str, Floats]]:
    """Draw candidates of which some are clicked and others bought: two requests a user, five items each."""
    requests, items = users * 2, 5
    frame = pd.DataFrame(
        {
            "request_id": np.repeat(np.arange(requests), items),
            "user_id": np.repeat(np.arange(requests) // 2, items),
            "item_id": np.tile(np.arange(items), requests),
        }
    )
    bought = rng.beta(1, 15, len(frame))
    return frame, {"p_click": rng.beta(2, 5, len(frame)), "p_purchase": bought}


def decided(frame: pd.DataFrame, likely: dict[str, Floats], **fields: Any) -> pd.DataFrame:
    policy = UtilitySpec.model_validate(utility_json(**{"weights": WEIGHTS, **fields}))
    return decide(frame, likely, policy, SLATE).frame


def earned(frame: pd.DataFrame, likely: dict[str, Floats], **factors: float) -> float:
    """Return the true clicks of a request under moved weights."""
    weights = {task: weight * factors.get(task, 1.0) for task, weight in WEIGHTS.items()}
    first = decided(frame, likely, weights=weights).slate_position.notna().to_numpy(dtype=bool)
    return float(likely["p_click"][first].mean())


def perturbed_log(rng: np.random.Generator, users: int, size: float = 0.2) -> pd.DataFrame:
    frame, likely = feed(rng, users)
    rows = decided(frame, likely, perturbation={"size": size, "salt": str(rng.integers(10**9))})
    shown = rows.slate_position.notna().to_numpy(dtype=bool)
    log = rows[shown].assign(user_id=frame.user_id[shown])
    return log.assign(click=rng.binomial(1, likely["p_click"][shown]))


def true_gradient(weight: str) -> float:
    frame, likely = feed(np.random.default_rng(99), 20_000)
    above, below = (earned(frame, likely, **{weight: factor}) for factor in (1.2, 0.8))
    return (above - below) / 0.4


def test_intervals_hold_the_gradient_of_the_decision() -> None:
    rng = np.random.default_rng(0)
    for weight, sign in (("click", 1), ("purchase", -1)):
        truth = true_gradient(weight)
        assert np.sign(truth) == sign
        reports = [estimate_gradient(perturbed_log(rng, 800), reward="click") for _ in range(60)]
        gradients = [report.gradients[weight] for report in reports]
        assert np.mean([one.low <= truth <= one.high for one in gradients]) >= 0.88
        error = np.std([one.value for one in gradients]) / np.sqrt(60)
        assert np.mean([one.value for one in gradients]) == pytest.approx(truth, abs=4 * error)


def test_enough_users_say_which_way_to_go_and_few_do_not() -> None:
    many = estimate_gradient(perturbed_log(np.random.default_rng(1), 30_000), reward="click").gradients
    assert (many["click"].direction, many["purchase"].direction) == ("raise", "lower")
    assert many["click"].size == pytest.approx(0.2)
    few = estimate_gradient(perturbed_log(np.random.default_rng(1), 15), reward="click").gradients
    assert {one.direction for one in few.values()} == {"inconclusive"}
    assert (
        estimate_gradient(perturbed_log(np.random.default_rng(1), 15), reward="click").to_json()["gradients"][
            "click"
        ]["low"]
        is None
    )


def test_rows_of_a_request_add_up_to_its_reward() -> None:
    log = perturbed_log(np.random.default_rng(2), 100)
    twice = pd.concat([log, log.assign(click=0)])
    first, second = (estimate_gradient(one, reward="click") for one in (log, twice))
    assert first.gradients["click"].value == pytest.approx(second.gradients["click"].value)
    assert second.requests == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="user_id"), "Missing column 'user_id' in the log"),
        (lambda f: f.drop(columns=["factor_click", "factor_purchase"]), "no weight was perturbed"),
        (lambda f: f.assign(factor_click=1.0), "column factor_click is 1 in every row"),
        (lambda f: f.assign(factor_click=f.factor_click.where(f.index > f.index[3], 1.0)), "column factor_click must be 1 + 0.2 or 1 - 0.2; 4 of 40"),
        (lambda f: f.assign(factor_click=np.tile([0.8, 1.2], 20)), "factor_click must be one for each user; 20 of 40"),
        (lambda f: f.assign(factor_click=np.nan), "factor_click must be a finite number"),
        (lambda f: f.assign(click=None), "column click"),
        (lambda f: f.assign(user_id=None), "user_id must be not null"),
    ],
)  # fmt: skip
def test_what_a_perturbed_log_may_not_hold_is_told(
    change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(DataError) as refused:
        estimate_gradient(change(perturbed_log(np.random.default_rng(3), 20)), reward="click")
    assert message in str(refused.value)
