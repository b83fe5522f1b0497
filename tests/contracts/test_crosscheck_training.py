"""Corrections for position, delay and answers are refused where they would have no meaning."""

from pathlib import Path
from typing import Any

import pytest

from tasks.contracts import digest, load_surface
from tests.contracts.files import Files, check_files, load_files, setting, write_surface


def _problems(folder: Path, training: dict[str, Any] | None = None, **surface: Any) -> dict[str, str]:
    def change(files: Files) -> None:
        files["surface"] |= {"training": training or {}, **surface}

    found = check_files(folder, change).problems
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
    delayed = setting("surface.training", {"default": {"delayed": True}})
    contracts = load_files(tmp_path, delayed)
    late = {task for task in contracts.tasks.tasks if contracts.delayed(task)}
    assert late == {"click", "buy", "return", "visit"}


DASK = {"engine": "dask", "scheduler": "tcp://scheduler:8786"}


def test_an_engine_may_stand_beside_the_tasks_or_under_default(tmp_path: Path) -> None:
    def asked(training: dict[str, Any]) -> str | None:
        surfaces = write_surface(tmp_path, setting("surface.training", training))
        return load_surface(surfaces, "feed").surface.training_for("click").cluster

    assert asked(DASK) == asked({"default": DASK}) == asked({"click": DASK}) == DASK["scheduler"]
    assert asked({**DASK, "click": {"engine": "local"}}) is None


@pytest.mark.parametrize(
    ("training", "field", "said"),
    [
        ({"click": {"engine": "dask"}}, "training.click.engine", "needs the address"),
        ({"click": {"scheduler": DASK["scheduler"]}}, "training.click.scheduler", "set `engine: dask`"),
        ({**DASK, "spend": {"objective": "quantile"}}, "training.spend.engine", "`objective: quantile`"),
        ({"buy": {**DASK, "start_from": {"task": "click"}}}, "training.buy.engine", "`start_from`"),
        (
            {"click": {**DASK, "search": {"trials": 2, "seconds": 9}}},
            "training.click.engine",
            "`search`: leave that out, or set `engine: local`",
        ),
        ({**DASK, "default": {"engine": "local"}}, "training", "not both"),
        ({"default": {**DASK, "scheduler": "http://x:1"}}, "training.default.scheduler", "pattern"),
    ],
)
def test_what_a_cluster_does_not_learn_is_refused(
    tmp_path: Path, training: dict[str, Any], field: str, said: str
) -> None:
    assert said in _problems(tmp_path, training)[field]


UNTRAINED = "is never trained (train: false)"


def _problems_untrained(
    folder: Path, *tasks: str, utility: dict[str, Any] | None = None, **surface: Any
) -> dict[str, str]:
    """Return what is wrong with the valid surface where some tasks are never trained."""

    def change(files: Files) -> None:
        for task in tasks:
            files["tasks"]["tasks"][task]["train"] = False
        files["surface"] |= surface
        files["utility"] |= utility or {}

    found = check_files(folder, change).problems
    return {problem.field: problem.hint for problem in found}


def test_a_task_that_nothing_predicts_is_valid_untrained_also_as_a_part_and_after_its_parent(
    tmp_path: Path,
) -> None:
    rate = {"guardrails": [{"metric": "return_rate", "relative_increase_max": 0.05}]}
    weights = {"weights": {"click": 1.0, "buy": 20.0}, "contexts": []}
    ramp = {"ramp": {"guardrails": ["return_rate"]}, "base_rates": {"return": [0.0, 0.1]}}
    assert _problems_untrained(tmp_path, "return", "visit", utility={**rate, **weights}, **ramp) == {}
    contracts = load_surface(tmp_path, "feed")
    assert contracts.tasks.trained == ("click", "buy", "happy", "spend")
    assert contracts.tasks.measured == ("return", "visit")
    assert contracts.head_kind("return") is None


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("weights.spend", {"weights": {"click": 1.0, "spend": 1.0}}),
        ("contexts.0.weights.spend", {"contexts": [{"name": "n", "when": {"a": ["b"]}, "weights": {"spend": 2.0}}]}),
        ("terms.t.spend", {"terms": {"t": {"weight": 1.0, "greater_of": ["spend", "click"]}}}),
        ("terms.t.visit", {"terms": {"t": {"weight": 1.0, "task": "click", "where": {"visit": {"min": 0.1}}}}}),
        ("relevance_floor.visit", {"relevance_floor": {"visit": 0.1}}),
        ("lexicographic.visit", {"lexicographic": [{"task": "visit", "cuts": [0.1], "prefer": "high"}]}),
    ],
)  # fmt: skip
def test_a_policy_that_reads_a_prediction_of_an_untrained_task_is_refused_by_name(
    tmp_path: Path, field: str, changed: dict[str, Any]
) -> None:
    found = _problems_untrained(tmp_path, "spend", "visit", utility=changed)
    assert found[field] == f"{UNTRAINED}, so there is no prediction of it: train it, or leave it out"


def test_a_guardrail_on_its_prediction_is_refused_with_the_observed_rate_as_the_way_out(
    tmp_path: Path,
) -> None:
    rails = [{"metric": f"visit_{of}", "max": 0.5} for of in ("predicted", "calibration", "rate")]
    guarded = {"guardrails": [{"metric": "return_rate", "max": 0.5}, *rails]}
    found = _problems_untrained(tmp_path, "visit", utility=guarded)
    assert found == {"guardrails.visit": f"{UNTRAINED}, so there is no prediction of it: name visit_rate"}


def test_no_exposure_is_held_against_its_prediction(tmp_path: Path) -> None:
    untrained = setting("tasks.tasks.happy.train", False)
    exposure = setting("slate.exposure", {"by": "category", "merit": "happy"})
    (problem,) = check_files(tmp_path, untrained, exposure).problems
    assert (problem.field, problem.hint) == ("exposure.merit", UNTRAINED)


def test_an_untrained_cost_needs_a_guardrail_on_what_is_observed(tmp_path: Path) -> None:
    bare = {"weights": {"click": 1.0}, "contexts": [], "guardrails": []}
    hint = _problems_untrained(tmp_path, "return", utility=bare)["guardrails"]
    assert hint == "a negative task needs a guardrail: add one on return_rate"


def test_settings_of_training_are_refused_for_it(tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "training": {"visit": {"refit": True}, "buy": {"start_from": {"task": "visit"}}},
        "lightgbm": {"visit": {"num_leaves": 3}},
        "gates": {"freshness": {"parts": {"visit": "P9D"}}},
        "proxies": [{"fast": "click", "slow": "visit"}],
    }
    assert _problems_untrained(tmp_path, "visit", **asked) == dict.fromkeys(
        (
            *("training.visit", "training.buy.start_from.task", "lightgbm.visit"),
            *("gates.freshness.parts.visit", "proxies.0.slow"),
        ),
        UNTRAINED,
    )


def test_a_probability_given_an_untrained_parent_is_refused_unless_the_joint_event_is_learned(
    tmp_path: Path,
) -> None:
    policy = {"weights": {"click": 1.0, "return": -5.0}, "contexts": []}
    found = _problems_untrained(tmp_path, "buy", utility=policy)
    assert found["tasks.return"].startswith("its probability is multiplied by that of 'buy', which is never")
    joint = {"training": {"return": {"space": "entire"}}}
    assert _problems_untrained(tmp_path / "joint", "buy", utility=policy, **joint) == {}
    untrained = {"weights": {"click": 1.0}, "contexts": []}
    rate = {"guardrails": [{"metric": "return_given_buy_rate", "relative_increase_max": 0.05}]}
    assert _problems_untrained(tmp_path / "both", "buy", "return", utility={**untrained, **rate}) == {}


def test_a_file_that_trains_no_task_is_refused(tmp_path: Path) -> None:
    tasks = ("click", "buy", "return", "happy", "spend", "visit")
    assert "a release would predict nothing" in _problems_untrained(tmp_path, *tasks)["tasks"]


FEED = {"tasks": ["click", "buy"], "ids": {"user_id": 4}}


def problems(
    folder: Path, trunks: dict[str, Any], models: dict[str, str] | None = None, **more: Any
) -> dict[str, str]:
    return _problems(folder, trunks=trunks, models=models or {}, **more)


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
    models = setting("surface.models", {"default": "best", "buy": "trunk"})
    trunk = setting("surface.trunks", {"feed": FEED})
    surface = load_files(tmp_path, trunk, models).surface
    assert [surface.model_for(task) for task in ("click", "buy", "spend")] == ["best", "trunk", "trees"]
    assert (surface.trunk_of("click"), surface.trunk_of("spend")) == ("feed", None)


def test_a_surface_without_trunks_keeps_its_digest(tmp_path: Path) -> None:
    empty = setting("surface.trunks", {}), setting("surface.models", {})
    plain = load_files(tmp_path / "a").digests
    assert load_files(tmp_path / "b", *empty).digests == plain
    assert len({plain["surface"], digest({})}) == 2
