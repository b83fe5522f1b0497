"""Trunks and models that cannot be: each is refused, and the message names the field and what to do."""

from pathlib import Path
from typing import Any

import pytest

from tasks.contracts import check_surface, digest, load_surface
from tests.contracts.files import Files, write_surface

FEED = {"tasks": ["click", "buy"], "ids": {"user_id": 4}}


def problems(
    folder: Path, trunks: dict[str, Any], models: dict[str, str] | None = None, **more: Any
) -> dict[str, str]:
    def change(files: Files) -> None:
        files["surface"] |= {"trunks": trunks, "models": models or {}, **more}

    found = check_surface(write_surface(folder, change), "feed").problems
    return {problem.field: problem.hint for problem in found}


def test_a_trunk_of_trained_tasks_and_known_columns_is_taken(tmp_path: Path) -> None:
    assert problems(tmp_path, {"feed": FEED}, {"default": "best", "buy": "blend"}) == {}


@pytest.mark.parametrize(
    ("trunk", "field", "said"),
    [
        ({"tasks": ["click", "bye"]}, "trunks.feed.tasks", "Did you mean 'buy'"),
        ({"ids": {"categry": 4}}, "trunks.feed.ids.categry", "Did you mean 'category'"),
        ({"ids": {"price": 4}}, "trunks.feed.ids.price", "Unknown column of ids"),
        (
            {"ids": {"user_id": 4}, "interactions": [["user_id", "item_id"]]},
            "trunks.feed",
            "two different ids",
        ),
        ({"tasks": ["return"]}, "trunks.feed.tasks", "is learned given 'buy', which has to be in the trunk"),
        ({"tasks": ["click", "buy", "return"]}, "trunks.feed.tasks", "of two cadences"),
    ],
)
def test_a_trunk_that_cannot_be_learned_is_refused(
    tmp_path: Path, trunk: dict[str, Any], field: str, said: str
) -> None:
    found = problems(tmp_path, {"feed": FEED | trunk})
    assert said in found[field]


def test_a_quantile_and_an_order_are_in_no_trunk(tmp_path: Path) -> None:
    training = {"spend": {"objective": "quantile", "quantile": 0.9}}
    found = problems(tmp_path, {"feed": FEED | {"tasks": ["spend"]}}, training=training)
    assert "is a quantile head" in found["trunks.feed.tasks"]


@pytest.mark.parametrize(
    ("models", "field", "said"),
    [
        ({"clik": "best"}, "models.clik", "Did you mean 'click'"),
        ({"spend": "trunk"}, "models.spend", "no trunk has 'spend' among its tasks"),
    ],
)
def test_a_model_that_no_trunk_has_is_refused(
    tmp_path: Path, models: dict[str, str], field: str, said: str
) -> None:
    assert said in problems(tmp_path, {"feed": FEED}, models)[field]


def test_a_default_that_nothing_can_follow_is_refused(tmp_path: Path) -> None:
    assert "no trunk is declared" in problems(tmp_path, {}, {"default": "best"})["models.default"]


def test_a_task_that_may_take_a_trunk_stands_in_one(tmp_path: Path) -> None:
    twice = {"feed": FEED, "other": {"tasks": ["click"]}}
    assert (
        "belongs to 2 trunks (feed, other)"
        in problems(tmp_path, twice, {"default": "best"})["models.default"]
    )
    assert problems(tmp_path / "trees", twice, {"default": "trees"}) == {}


def test_a_trunk_keeps_no_bounds(tmp_path: Path) -> None:
    training = {"click": {"monotone": {"price": -1}}}
    found = problems(tmp_path, {"feed": FEED}, {"click": "best"}, training=training)
    assert "keeps no bounds" in found["models.click"]
    assert problems(tmp_path / "trees", {"feed": FEED}, training=training) == {}


def test_a_trunk_has_a_name_that_no_task_has(tmp_path: Path) -> None:
    assert "is a task's name too" in problems(tmp_path, {"click": FEED})["trunks.click"]


def test_default_is_for_the_tasks_of_a_trunk(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"] |= {"trunks": {"feed": FEED}, "models": {"default": "best", "buy": "trunk"}}

    surface = load_surface(write_surface(tmp_path, change), "feed").surface
    assert [surface.model_for(task) for task in ("click", "buy", "spend")] == ["best", "trunk", "trees"]
    assert (surface.trunk_of("click"), surface.trunk_of("spend")) == ("feed", None)


def test_a_surface_without_trunks_keeps_its_digest(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"] |= {"trunks": {}, "models": {}}

    plain = load_surface(write_surface(tmp_path / "a"), "feed").digests
    assert load_surface(write_surface(tmp_path / "b", change), "feed").digests == plain
    assert len({plain["surface"], digest({})}) == 2
