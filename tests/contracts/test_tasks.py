from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.base import canonical, digest
from tasks.contracts.tasks import TaskSpec, TasksSpec
from tests.contracts.files import VALID

TASKS = TasksSpec.model_validate(VALID["tasks"])


def test_maturity_is_the_sum_of_windows_along_the_chain() -> None:
    assert TASKS.window_chain("return") == ("buy", "return")
    assert TASKS.maturity("return") == timedelta(days=37)
    assert TASKS.own_window("return") == timedelta(days=30)


def test_a_composite_matures_with_its_slowest_part() -> None:
    assert TASKS.maturity("happy") == timedelta(days=37)
    assert TASKS.own_window("happy") == timedelta(days=30)


def test_parents_and_parts_come_before_what_builds_on_them() -> None:
    order = TASKS.order()
    assert sorted(order) == sorted(TASKS.tasks)
    assert order.index("buy") < order.index("return") < order.index("happy")


def test_every_event_name_of_the_contract_is_known() -> None:
    assert TASKS.events == {"click", "purchase", "return", "visit"}


def test_an_answer_that_a_child_needs_is_a_task_between_them() -> None:
    """What the refusal of `observed_when` beside `after` names as the way out."""
    asked = {"event": "survey", "within": "P14D"}
    tasks = {
        "buy": VALID["tasks"]["tasks"]["buy"],
        "answered": {"family": "engagement", "positive": {**asked, "after": "buy"}},
        "pleased": {
            "family": "satisfaction",
            "positive": {**asked, "within": "P21D", "value_at_least": 4},
            "observed_when": {"task": "answered"},
        },
    }
    spec = TasksSpec.model_validate({**VALID["tasks"], "tasks": tasks})
    assert spec.chain("pleased") == ("buy", "answered", "pleased")


def described(words: object) -> TasksSpec:
    plain = deepcopy(VALID["tasks"])
    plain["tasks"]["buy"]["description"] = words
    return TasksSpec.model_validate(plain)


def test_a_description_is_for_pages_and_leaves_the_digest_as_it_was() -> None:
    spec = described("  bought it ")
    assert spec.tasks["buy"].description == "bought it"
    assert digest(canonical(spec)) == digest(canonical(TASKS))
    assert TASKS.tasks["buy"].description is None


@pytest.mark.parametrize("words", ["", "  ", "two\nlines", "a\x1b[31mcolour", "x" * 301, 7, ["a"]])
def test_a_description_is_one_line_of_printable_text(words: object) -> None:
    with pytest.raises(ValidationError, match="description"):
        described(words)


@pytest.mark.parametrize("asked", [{"sampling": {"negatives": 0.5}}, {"loss_weight": 2.0}])
def test_what_weighs_examples_is_refused_where_none_is_trained_on(asked: dict[str, Any]) -> None:
    rule = {"family": "safety", "positive": {"event": "report", "within": "P7D"}, "train": False}
    assert TaskSpec.model_validate(rule).train is False
    with pytest.raises(ValidationError, match="never trained"):
        TaskSpec.model_validate(rule | asked)
