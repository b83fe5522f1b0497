"""Corrections for position, delay and answers are refused where they would have no meaning."""

from pathlib import Path
from typing import Any

import pytest

from tasks.contracts import check_surface, load_surface
from tests.contracts.files import Files, write_surface


def _problems(folder: Path, training: dict[str, Any], **surface: Any) -> dict[str, str]:
    def change(files: Files) -> None:
        files["surface"] |= {"training": training, **surface}

    found = check_surface(write_surface(folder, change), "feed").problems
    return {problem.field: problem.hint for problem in found}


@pytest.mark.parametrize(
    ("task", "asked", "said"),
    [
        ("spend", {"position": "weight"}, "this head takes `feature`"),
        ("spend", {"delayed": True}, "the time of a task's own event"),
        ("happy", {"delayed": True}, "the time of a task's own event"),
        ("click", {"weights": {"response": {"clip": 5}}}, "observed when an event answers"),
    ],
)
def test_what_cannot_act_on_a_task_is_refused_where_the_task_asks_for_it(
    tmp_path: Path, task: str, asked: dict[str, Any], said: str
) -> None:
    (hint,) = _problems(tmp_path, {task: asked}, examination="estimated").values()
    assert said in hint


def test_under_default_it_concerns_the_tasks_that_it_can_act_on(tmp_path: Path) -> None:
    default = {"position": "weight", "delayed": True, "weights": {"response": {"clip": 5}}}
    assert _problems(tmp_path, {"default": default}, examination="estimated") == {}


def test_weights_by_position_need_a_curve(tmp_path: Path) -> None:
    found = _problems(tmp_path, {"click": {"position": "weight"}})
    assert "which the surface does not declare" in found["training.click.position"]
    assert _problems(tmp_path / "b", {"click": {"position": "feature"}}) == {}


def test_a_task_starts_from_one_that_sees_the_same_features(tmp_path: Path) -> None:
    training = {"buy": {"start_from": {"task": "click"}}, "click": {"position": "feature"}}
    assert "the same features" in _problems(tmp_path, training)["training.buy.start_from"]


def test_only_what_an_event_of_its_own_makes_1_can_be_late(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"]["training"] = {"default": {"delayed": True}}

    contracts = load_surface(write_surface(tmp_path, change), "feed")
    late = {task for task in contracts.tasks.tasks if contracts.delayed(task)}
    assert late == {"click", "buy", "return", "visit"}
