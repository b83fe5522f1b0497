"""A slate policy as data."""

import pytest
from pydantic import ValidationError

from tasks.contracts import canonical
from tasks.contracts.slate import SlateOverride, SlateSpec

SHORT = {"policy": "s", "version": 1, "length": 3}


def test_what_is_left_out_asks_for_nothing() -> None:
    slate = SlateSpec.model_validate(SHORT)
    assert (slate.max_per, slate.required_first, slate.diversity) == ({}, None, None)


def test_nothing_may_be_forbidden_by_a_maximum_of_0_and_a_minimum_is_at_least_1() -> None:
    assert SlateSpec.model_validate({**SHORT, "max_where": {"ad": 0}}).max_where == {"ad": 0}
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        SlateSpec.model_validate({**SHORT, "min_where_if_available": {"new": 0}})


def test_diversity_subtracts_something() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        SlateSpec.model_validate({**SHORT, "diversity": {"by": "creator", "strength": 0}})


@pytest.mark.parametrize(
    "exposure",
    [
        {"by": "tier", "least": {"new": 0.8}},
        {"by": "tier", "most": 0.1},
        {"by": "tier", "least": {"new": 0.0}, "most": 0.1},
        {"by": "tier", "least": {"new": 0.8}, "most": 0.1, "boosts": {"new": 0.1}},
    ],
)
def test_a_target_of_exposure_has_a_largest_boost_and_no_boost_of_its_own(
    exposure: dict[str, object],
) -> None:
    with pytest.raises(ValidationError):
        SlateSpec.model_validate({**SHORT, "exposure": exposure})


def test_boosts_are_no_part_of_a_policys_content() -> None:
    exposure = {"by": "tier", "least": {"new": 0.8}, "most": 0.1}
    slate = SlateSpec.model_validate({**SHORT, "exposure": exposure})
    boosted = slate.boosted({"tier": {"new": 0.05}}).overridden(SlateOverride(length=2))
    assert boosted.exposure is not None
    assert boosted.exposure.boosts == {"new": 0.05}
    assert slate.exposure is not None
    assert slate.exposure.boosts == {"new": 0.0}
    assert canonical(boosted) == {**SHORT, "length": 2, "exposure": exposure}
    assert (slate.columns, SlateSpec.model_validate(SHORT).boosted({"tier": {}}).exposure) == (
        ("tier",),
        None,
    )
