"""What a release must pass where the surface leaves it out, and what cannot be asked."""

import pytest
from pydantic import ValidationError

from tasks.contracts.gates import CalibrationGate, Gates, ModelGate


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
