"""A metric may be bounded from each side, and has at least one bound."""

import pytest
from pydantic import ValidationError

from tasks.contracts.bounds import Bounded


def test_a_metric_without_a_bound_is_refused() -> None:
    with pytest.raises(ValidationError, match="has no bound; give max, min"):
        Bounded.model_validate({"metric": "hide_rate"})


def test_a_bound_of_zero_is_a_bound() -> None:
    assert Bounded.model_validate({"metric": "hide_rate", "relative_increase_max": 0}).max is None
