"""A metric may be bounded from each side, and has at least one bound."""

import pytest
from pydantic import ValidationError

from tasks.contracts.bounds import Bounded


def test_a_metric_without_a_bound_is_refused() -> None:
    with pytest.raises(ValidationError, match="has no bound; give max, min"):
        Bounded.model_validate({"metric": "hide_rate"})


@pytest.mark.parametrize("value", ["home decor", "a:b", "Küche & Bad", " ads", "x" * 100])
def test_the_share_of_any_value_on_one_line_may_be_bounded(value: str) -> None:
    assert Bounded.model_validate({"metric": f"category_share:{value}", "max": 0.5}).metric.endswith(value)


@pytest.mark.parametrize(
    "value", ["", "two\nlines", "bell\x07", "next\x85line", "para\u2029graph", "x" * 101]
)
def test_a_value_of_several_lines_of_none_or_of_too_many_letters_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Bounded.model_validate({"metric": f"category_share:{value}", "max": 0.5})


def test_a_bound_of_zero_is_a_bound() -> None:
    assert Bounded.model_validate({"metric": "hide_rate", "relative_increase_max": 0}).max is None
