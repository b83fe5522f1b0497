"""What weights are tuned for: one metric to raise, bounds on others, ranges of one sign."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts import check_surface
from tasks.contracts.constrained import Constrained
from tasks.contracts.digest import canonical
from tasks.contracts.utility import UtilitySpec
from tests.contracts.files import VALID, setting, write_surface

CONSTRAINED: dict[str, Any] = {
    "maximise": "buy_predicted",
    "subject_to": [{"metric": "return_predicted", "relative_increase_max": 0.0}],
    "ranges": {"return": [-20, 0], "click": [0, 2]},
}


def problems(folder: Path, **changes: Any) -> list[tuple[str, str]]:
    changed = setting("utility.constrained", {**CONSTRAINED, **changes})
    found = check_surface(write_surface(folder, changed), "feed").problems
    return [(one.field, one.hint) for one in found]


def test_a_policy_may_say_what_its_weights_are_tuned_for(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


def test_a_policy_without_it_keeps_its_digest() -> None:
    assert "constrained" not in canonical(UtilitySpec.model_validate(VALID["utility"]))


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"ranges": {"click": [2, 1]}}, "must increase"),
        ({"ranges": {"click": [1, 1]}}, "must increase"),
        ({"ranges": {"click": [-1, 1]}}, "holds both signs"),
        ({"ranges": {"click": [0, float("inf")]}}, "finite"),
        ({"ranges": {}}, "at least 1"),
        ({"subject_to": []}, "at least 1"),
        ({"subject_to": [{"metric": "return_rate"}]}, "has no bound"),
        ({"subject_to": [{"metric": "buy_predicted", "max": 1}]}, "names buy_predicted more than once"),
        ({"minimise": "buy_predicted"}, "Extra inputs"),
    ],
)
def test_what_has_no_one_meaning_is_refused(changed: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        Constrained.model_validate({**CONSTRAINED, **changed})


def test_a_range_belongs_to_a_term_and_has_its_familys_sign(tmp_path: Path) -> None:
    found = problems(tmp_path, ranges={"clik": [0, 1], "return": [1, 2], "click": [-2, 0]})
    assert [field for field, _ in found] == [
        "constrained.ranges.clik",
        "constrained.ranges.return",
        "constrained.ranges.click",
    ]
    assert "Did you mean 'click'?" in found[0][1]
    assert found[1][1] == "a task of the family negative has a negative weight"


@pytest.mark.parametrize(
    ("metric", "hint"),
    [
        ("buy_predictd", "Did you mean 'buy_predicted'?"),
        ("expected_utility", "moves with the weights themselves"),
        ("latency_p99_ms", "no weight moves it"),
    ],
)
def test_only_a_known_metric_that_weights_move_is_raised(tmp_path: Path, metric: str, hint: str) -> None:
    ((field, said),) = problems(tmp_path, maximise=metric)
    assert field == "constrained.maximise"
    assert hint in said
