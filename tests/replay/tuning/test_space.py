"""Weights that may be proposed keep their sign, their range and everything else of their policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import UtilitySpec
from tasks.contracts.base import canonical
from tasks.replay.tuning.space import WeightSpace

POLICY = UtilitySpec.model_validate(
    {
        "policy": "p",
        "version": 3,
        "owner": "o",
        "approvals": ["a"],
        "weights": {
            "click": 0.4,
            "buy": {"weight": 20.0, "times": {"column": "margin", "cap": 50}, "why": "it earns"},
            "hide": -3.0,
        },
    }
)
SPACE = WeightSpace.of(POLICY, {"hide": (-20.0, 0.0), "buy": (10.0, 40.0)})


def test_an_end_of_zero_stands_for_a_thousandth_of_the_other() -> None:
    assert SPACE.sizes == {"buy": (10.0, 40.0), "hide": (0.02, 20.0)}


def test_other_weights_change_nothing_else_of_the_policy() -> None:
    plain = canonical(SPACE.policy_with({"buy": 30.0, "hide": -6.0}, version=4))
    expected = canonical(POLICY)
    expected["version"] = 4
    weights = expected["weights"]
    assert isinstance(weights, dict)
    weights["buy"]["weight"], weights["hide"]["weight"] = 30.0, -6.0
    assert plain == expected


@given(st.floats(0.02, 20.0), st.floats(10.0, 40.0))
def test_what_is_proposed_has_the_sign_of_its_term_and_four_digits(hide: float, buy: float) -> None:
    weights = SPACE.signed({"hide": hide, "buy": buy})
    assert weights["hide"] < 0 < weights["buy"]
    assert weights["hide"] == pytest.approx(-hide, rel=1e-3)
    assert all(float(f"{weight:.4g}") == weight for weight in weights.values())


def test_four_digits_take_no_weight_beyond_its_range() -> None:
    narrow = WeightSpace.of(POLICY, {"hide": (-12.34567, -1.23456)})
    assert narrow.signed({"hide": 12.34567}) == {"hide": -12.34567}
    assert narrow.signed({"hide": 1.23456}) == {"hide": -1.235}
    assert narrow.signed({"hide": 1.23444}) == {"hide": -1.23456}


def test_current_weights_outside_their_range_are_drawn_to_its_end() -> None:
    far = WeightSpace.of(POLICY, {"hide": (-2.0, 0.0)})
    assert far.clipped(far.current) == {"hide": 2.0}
