"""What a release must pass where the surface leaves it out, and what cannot be asked."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.gates import CalibrationGate, Gates, ModelGate, Ramp, UserPool


def test_the_defaults_hold_where_nothing_is_declared() -> None:
    gates = Gates.model_validate({})
    assert (gates.data.rows, gates.data.positives, gates.inconclusive) == (10_000, 200, "warn")
    assert gates.calibration.ratio == (0.9, 1.1)


def test_a_task_may_have_its_own_bound_of_a_refit() -> None:
    gate = ModelGate.model_validate({"refit_shift_max": 0.1, "refit_shift_max_by_task": {"return": 0.4}})
    assert (gate.refit_shift_max_of("return"), gate.refit_shift_max_of("click")) == (0.4, 0.1)


@pytest.mark.parametrize("ratio", [[1.1, 1.2], [0.5, 0.9], [0.0, 1.1]])
def test_the_allowed_ratio_lies_around_1(ratio: list[float]) -> None:
    with pytest.raises(ValidationError, match="a range around 1"):
        CalibrationGate.model_validate({"ratio": ratio})


def test_a_ramp_has_the_stages_of_the_design_where_none_are_declared() -> None:
    ramp = Ramp.model_validate({"guardrails": ["hide_7d_rate"]})
    assert [(stage.share, stage.harm) for stage in ramp.stages] == [
        (0.01, 3),
        (0.05, 1),
        (0.25, 0.5),
        (0.5, 0.3),
    ]
    assert (ramp.wait.least.days, ramp.wait.most.days, ramp.alpha) == (2, 14, 0.05)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"stages": [{"share": 0.5, "harm": 1}, {"share": 0.05, "harm": 1}]},
            "shares of stages must increase",
        ),
        (
            {"stages": [{"share": 0.05, "harm": 1}, {"share": 0.5, "harm": 2}]},
            "harm of a stage must not exceed",
        ),
        ({"stages": [{"share": 0.05, "harm": 0}]}, "greater than 0"),
        ({"stages": []}, "at least 1 item"),
        ({"guardrails": []}, "at least 1 item"),
        ({"wait": {"least": "P3D", "most": "P2D"}}, "least must not be longer than most"),
        ({"alpha": 0}, "greater than 0"),
        ({"pools": [0.6, 0.5]}, "1.1 is more than all users"),
        ({"pools": [0.2] * 5}, "at most 4 items"),
        ({"share": 0.05}, "Extra inputs"),
    ],
)
def test_a_ramp_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Ramp.model_validate({"guardrails": ["hide_7d_rate"], **change})


@pytest.mark.parametrize(
    ("pools", "taken", "free"),
    [
        ((0.5, 0.5), [UserPool(1, 0.0, 0.5)], UserPool(2, 0.5, 1.0)),
        ((0.5, 0.5), [UserPool(2, 0.5, 1.0)], UserPool(1, 0.0, 0.5)),
        ((0.3, 0.2), [], UserPool(1, 0.0, 0.3)),
        ((0.5, 0.5), [UserPool()], None),  # that ramp began before pools were declared
        ((0.2, 0.3, 0.5), [UserPool(2, 0.5, 1.0)], UserPool(1, 0.0, 0.2)),  # as pools were before a change
        ((0.6, 0.4), [UserPool(2, 0.5, 1.0)], None),
    ],
)
def test_a_release_ramps_in_the_first_pool_that_shares_no_user_with_another_ramp(
    pools: tuple[float, ...], taken: list[UserPool], free: UserPool | None
) -> None:
    assert Ramp(guardrails=("hide_7d_rate",), pools=pools).free_pool(taken) == free
