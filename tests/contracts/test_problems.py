"""A finding of pydantic becomes a problem with its field, what was found and the way out."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.problems import Problem, abbreviate, problems_of_validation
from tasks.contracts.slate import SlateSpec


def problems(plain: dict[str, Any]) -> list[Problem]:
    with pytest.raises(ValidationError) as caught:
        SlateSpec.model_validate(plain)
    return problems_of_validation("slate.yaml", caught.value, SlateSpec)


def test_an_unknown_key_is_answered_with_the_nearest_known_one() -> None:
    (problem,) = problems({"policy": "s", "version": 1, "length": 3, "max_pre": {}})
    assert (problem.file, problem.field, problem.found) == ("slate.yaml", "max_pre", "{}")
    assert "Did you mean 'max_per'?" in problem.hint


def test_a_missing_key_is_named() -> None:
    (problem,) = problems({"policy": "s", "version": 1})
    assert str(problem) == "slate.yaml: length: is missing and has no default"


def test_a_problem_inside_a_section_carries_the_whole_path() -> None:
    (problem,) = problems(
        {"policy": "s", "version": 1, "length": 3, "diversity": {"by": "creator", "strength": 0}}
    )
    assert problem.field == "diversity.strength"


def test_a_long_value_is_shown_by_its_first_characters() -> None:
    assert abbreviate("a") == "'a'"
    assert abbreviate("a" * 99) == "'" + "a" * 56 + "..."
