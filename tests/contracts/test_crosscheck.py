"""What only the four files together show: unknown names, cycles, signs, bounds."""

from pathlib import Path
from typing import Any

import pytest

from tests.contracts.files import Files, check_files, setting


def exploring(slots: int, *, salt: str = "s", **where: Any) -> dict[str, Any]:
    where = {"column": "fresh"} | (where or {"equals": True})
    return {"slots": slots, "where": where, "salt": salt}


def test_what_all_tasks_start_from_does_not_concern_that_task_itself_nor_values(tmp_path: Path) -> None:
    training = {"default": {"start_from": {"task": "click"}, "weights": {"balanced": True}}}
    assert check_files(tmp_path, setting("surface.training", training)).problems == ()


def test_a_ranking_head_compares_the_items_of_a_request_so_none_is_left_out(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"]["training"] = {"click": {"objective": "lambdarank"}}
        files["tasks"]["tasks"]["click"]["sampling"] = {"negatives": 0.5}

    found = check_files(tmp_path, change).problems
    assert any(p.field == "training.click.objective" and "sampling away" in p.hint for p in found)


def test_a_renamed_column_may_be_any_that_is_not_nearly_one_of_ours(tmp_path: Path) -> None:
    renamed = {"price": "Unit Price ($)", "position": "rank", "session_id": "sid", "item_age": "age"}
    assert check_files(tmp_path, setting("surface.columns", renamed)).problems == ()


TUNED: dict[str, Any] = {
    "maximise": "click_predicted",
    "subject_to": [{"metric": "return_predicted", "max": 0.1}],
    "ranges": {"buy": [0, 20]},
}


@pytest.mark.parametrize(
    ("field", "path", "value"),
    [
        ("weights.click", "utility.weights.click", 0.4),
        ("relevance_floor.click", "utility.relevance_floor", {"click": 0.01}),
        (
            "lexicographic.click",
            "utility.lexicographic",
            [{"task": "click", "cuts": [0.1], "prefer": "high"}],
        ),
        ("contexts.0.weights.click", "utility.contexts.0.weights", {"click": 1.0}),
        ("contexts.0.relevance_floor.click", "utility.contexts.0.relevance_floor", {"click": 0.1}),
        ("guardrails.click", "utility.guardrails.0.metric", "click_predicted"),
        ("constrained.click", "utility.constrained", TUNED),
        (
            "constrained.click",
            "utility.constrained",
            TUNED | {"maximise": "buy_predicted", "subject_to": [{"metric": "click_predicted", "min": 0.1}]},
        ),
    ],
)
def test_a_ranking_head_is_in_no_sum_floor_tier_or_mean(
    tmp_path: Path, field: str, path: str, value: Any
) -> None:
    changes = setting("surface.training", {"click": {"objective": "lambdarank"}}), setting(path, value)
    problems = check_files(tmp_path, *changes).problems
    assert any(p.field == field and "is a ranking head" in p.hint for p in problems), [
        str(p) for p in problems
    ]


BAD: list[tuple[str, Any, str, str]] = [
    # path, value, field of the problem, words of the hint
    ("tasks.tasks.click.familly", "engagement", "tasks.click.familly", "Did you mean 'family'"),
    ("surface.columns", {"ingest_at": "arrived"}, "columns.ingest_at", "Did you mean 'ingested_at'"),
    ("surface.lightgbm", {"defualt": {"num_leaves": 7}}, "lightgbm.defualt", "Did you mean 'default'"),
    ("surface.training", {"defualt": {"warm_start": True}}, "training.defualt", "Did you mean 'default'"),
    ("surface.columns", {"positon": "rank"}, "columns.positon", "Did you mean 'position'"),
    ("utility.primary", {"metric": "expected_utility"}, "primary.metric", "no ground to pass"),
    ("utility.primary", {"metric": "click_predicted"}, "primary.metric", "no ground to pass"),
    ("utility.primary", {"metric": "return_rate"}, "primary.metric", "may fall"),
    ("utility.primary", {"metric": "latency_p99_ms"}, "primary.metric", "may fall"),
    ("utility.primary", {"metric": "visit_rate"}, "primary.metric", "no ranking can move"),
    ("tasks.tasks.click.family", "engagment", "tasks.click.family", "engagement"),
    ("tasks.tasks.click.positive.within", "30m", "tasks.click.positive.within", "not a duration"),
    ("tasks.tasks.click.positive.within", "P1M", "tasks.click.positive.within", "not a duration"),
    ("tasks.tasks.click.positive.within", "PT0S", "tasks.click.positive.within", "longer than zero"),
    ("tasks.tasks.click.positive.within", None, "tasks.click.positive.within", "is missing"),
    ("tasks.tasks.click.positive", None, "tasks.click", "exactly one of positive, value, compose"),
    ("tasks.tasks.click.maturity", "PT1M", "tasks.click.maturity", "shorter than the window"),
    ("tasks.tasks.click.positive.until", "shown_at", "tasks.click.until", "is no deadline"),
    ("tasks.tasks.visit.positive.until", "due", "tasks.visit.until", "end at a time of each of them"),
    ("tasks.tasks.click.loss_weight", True, "tasks.click.loss_weight", "is not a number"),
    ("tasks.tasks.click.loss_weight", 1e300, "tasks.click.loss_weight", "less than or equal to 1000000"),
    ("tasks.tasks.click.sampling", {"negatives": 0}, "tasks.click.sampling.negatives", "greater than 0"),
    ("tasks.tasks.click.observed_when", {"column": "a", "event": "b"}, "tasks.click.observed_when", "exactly one"),
    ("tasks.tasks.return.positive.after", "by", "tasks.return.positive.after", "Did you mean 'buy'"),
    ("tasks.tasks.return.positive.after", "happy", "tasks.return.positive.after", "no crediting event"),
    ("tasks.tasks.return.positive.after", "spend", "tasks.return.positive.after", "neither a parent nor a part"),
    ("tasks.tasks.return.observed_when", {"event": "survey"}, "tasks.return", "or put its column on buy, or declare the task of the answering event"),
    ("tasks.tasks.buy.positive.after", "return", "tasks", "in a circle"),
    ("tasks.tasks.happy.compose.all_of", ["happy"], "tasks", "depend on themselves"),
    ("tasks.tasks.happy.compose.all_of", ["spend"], "tasks.happy.compose", "neither a parent nor a part"),
    ("tasks.tasks.happy.compose.none_of", ["click"], "tasks.happy.compose", "a part twice"),
    ("tasks.tasks.happy.maturity", "P90D", "tasks.happy", "from its parts"),
    ("tasks.tasks.spend.value.clip", [5, 1], "tasks.spend.value", "not a range"),
    ("tasks.tasks.spend.kind", "binary", "tasks.spend", "goes with kind: value"),
    ("tasks.tasks.visit.positive.match", ["item_id"], "tasks.visit.match", "cannot match on item_id"),
    ("tasks.tasks.x__y", {"family": "engagement", "positive": {"event": "e", "within": "P1D"}}, "tasks.x__y", "two underscores"),
    ("tasks.tasks.DS", {"family": "engagement", "positive": {"event": "e", "within": "P1D"}}, "tasks.DS", "a column of the label table"),
    ("tasks.tasks.CLICK", {"family": "engagement", "positive": {"event": "e", "within": "P1D"}}, "tasks.CLICK", "only by case from click"),
    ("tasks.tasks.click.positive.event", "a; drop table", "tasks.click.positive.event.0", "pattern"),
    ("surface.surface", "other", "surface", "the folder's name"),
    ("surface.sources.events", "../secret/*.parquet", "sources.events", "inside the logs folder"),
    ("surface.sources.events", "/etc/passwd", "sources.events", "inside the logs folder"),
    ("surface.features.numeric", ["price", "price"], "features.numeric", "named twice"),
    ("surface.features.categorical", ["price"], "features", "both numeric and categorical"),
    ("surface.features.numeric", ["position"], "features", "known only after ranking"),
    ("surface.features.numeric", ["served_p_click"], "features", "known only after ranking"),
    ("surface.features.numeric", ["click"], "features", "a label is no input"),
    ("surface.split.train", "PT36H", "split.train", "whole days"),
    ("surface.minimum", {"train": "P60D"}, "minimum.train", "longer than split.train"),
    ("surface.segments", ["category", "category"], "segments", "named twice"),
    ("surface.gates", {"calibration": {"by": ["categry"]}}, "gates.calibration.by", "Did you mean 'category'"),
    ("surface.gates", {"calibration": {"ratio": [1.1, 1.2]}}, "gates.calibration", "around 1"),
    ("surface.monitor", {"critical": ["rows", "clik"]}, "monitor.critical.1", "Did you mean 'click'"),
    ("surface.base_rates", {"clik": [0, 1]}, "base_rates.clik", "Did you mean 'click'"),
    (
        "surface.gates",
        {"model": {"refit_shift_max_by_task": {"clik": 0.2}}},
        "gates.model.refit_shift_max_by_task.clik",
        "Did you mean 'click'",
    ),
    ("surface.base_rates", {"click": [0.5, 0.1]}, "base_rates.click", "not a range of rates"),
    ("surface.lightgbm", {"default": {"num_leafs": 3}}, "lightgbm.default.num_leafs", "Did you mean 'num_leaves'"),
    ("surface.lightgbm", {"click": {"min_data_in_leaf": 10**12}}, "lightgbm.click.min_data_in_leaf", "less than or equal to 1000000000"),
    ("surface.examination", "guessed", "examination", "estimated"),
    ("surface.training", {"clik": {}}, "training.clik", "Did you mean 'click'"),
    ("surface.training", {"click": {"objectiv": "binary"}}, "training.click.objectiv", "Did you mean 'objective'"),
    ("surface.training", {"click": {"objective": "tweedie"}}, "training.click.objective", "binary or lambdarank"),
    ("surface.training", {"spend": {"objective": "binary"}}, "training.spend.objective", "l2 or tweedie or quantile"),
    ("surface.training", {"click": {"quantile": 0.5}}, "training.click", "goes with objective: quantile"),
    ("surface.training", {"click": {"space": "entire"}}, "training.click.space", "has no parent"),
    ("surface.training", {"click": {"start_from": {"task": "by"}}}, "training.click.start_from.task", "Did you mean 'buy'"),
    ("surface.training", {"click": {"start_from": {"task": "click"}}}, "training.click.start_from.task", "from none"),
    ("surface.training", {"click": {"monotone": {"category": 1}}}, "training.click.monotone.category", "numeric feature"),
    ("surface.training", {"click": {"monotone": {"price": 2}}}, "training.click.monotone.price", "-1 or 1"),
    ("surface.training", {"spend": {"objective": "quantile", "quantile": 0.9, "monotone": {"price": 1}}}, "training.spend.monotone", "leave it out"),
    ("surface.training", {"buy": {"start_from": {"task": "click"}, "monotone": {"price": 1}}}, "training.buy.monotone", "keeps no bounds"),
    ("surface.training", {"click": {"weights": {"propensity": {"clip": 1}}}}, "training.click.weights.propensity.clip", "greater than 1"),
    ("surface.training", {"click": {"search": {"trials": 0, "seconds": 5}}}, "training.click.search.trials", "greater than or equal to 1"),
    ("surface.training", {"buy": {"objective": "lambdarank"}}, "training.buy.objective", "parent of 'return'"),
    ("surface.training", {"visit": {"objective": "lambdarank"}}, "training.visit.objective", "the same for all of them"),
    ("surface.training", {"spend": {"start_from": {"task": "click"}}}, "training.spend.start_from", "corrects log odds"),
    ("surface.training", {"spend": {"weights": {"balanced": True}}}, "training.spend.weights.balanced", "corrects log odds"),
    ("surface.training", {"buy": {"start_from": {"task": "spend"}}}, "training.buy.start_from.task", "no log odds to start from"),
    ("surface.training", {"buy": {"start_from": {"task": "click"}, "warm_start": True}}, "training.buy.warm_start", "choose one"),
    ("tasks.tasks.click.sampling", {"negatives": 0.1, "by": {"price": {"7": 2}}}, "tasks.click.sampling.by.price.7", "less than or equal to 1"),
    ("surface.proxies", [{"fast": "clik", "slow": "buy"}], "proxies.0.fast", "Did you mean 'click'"),
    ("surface.examination", {"by_position": [1.0, 0.0]}, "examination.by_position.1", "greater than 0"),
    ("surface.schedule", {"labels": "daily"}, "schedule.labels", "does not have five fields"),
    ("surface.schedule", {"retrain": "0 25 * * *"}, "schedule.retrain", "is not a cron string"),
    ("surface.until", "9999-12-31", "until", "must lie between"),
    ("tasks.tasks.click.positive.match", ["user_id"], "tasks.click.match", "set level: request"),
    ("tasks.tasks.click.positive.match", ["request_id"], "tasks.click.match", "set level: request"),
    ("tasks.tasks.visit.positive.credit", "last_touch", "tasks.visit.credit", "cannot be credited to one of them"),
    ("tasks.tasks.visit.positive.after", "click", "tasks.visit", "cannot be made of a label of each of them"),
    ("tasks.tasks.visit", {"family": "long_term", "level": "request", "compose": {"all_of": ["click"]}}, "tasks.visit", "cannot be made of a label"),
    ("tasks.tasks.click.exclude", [{"event": ["gone", "click"], "on": "item"}], "tasks.click.exclude.0.event", "every positive out"),
    ("tasks.tasks.click.observed_when", {"event": "click"}, "tasks.click.observed_when.event", "every observed label is 1"),
    ("tasks.tasks.click.positive", {"event": "click", "within": "P1D", "value_at_least": 4, "value_below": 4}, "tasks.click.positive", "no value is at least 4 and below 4"),
    ("tasks.tasks.return.positive.within", "P3650D", "tasks.return", "more than 3650 days"),
    ("utility.guardrails.0", {"metric": "new_item_exposure", "relative_decrease_max": 0.1}, "guardrails.0.metric", "needs a segment of the age"),
    ("surface.arrival", {"every": "PT5S"}, "arrival", "every must lie between PT10S"),
    ("surface.arrival", {"every": "PT2H", "deadline": "PT1H"}, "arrival", "every must lie between PT10S"),
    ("surface.arrival", {"within": "soon"}, "arrival.within", "not a duration"),
    ("surface.arrival", {"withn": "P1D"}, "arrival.withn", "Did you mean 'within'"),
    ("surface.until", "2026-13-01", "until", "month"),
    ("utility.weights.click", -0.4, "weights.click", "has a positive weight"),
    ("utility.weights.return", 5.0, "weights.return", "has a negative weight"),
    ("utility.weights.click", True, "weights.click.weight", "is not a number"),
    ("utility.weights.click", "high", "weights.click.weight", "is not a number"),
    ("utility.weights.click", float("inf"), "weights.click.weight", "finite"),
    ("utility.weights.click", 0, "weights.click", "has a positive weight"),
    ("utility.weights.clik", 1.0, "weights.clik", "Did you mean 'click'"),
    ("utility.weights.visit", 1.0, "weights.visit", "it cannot rank"),
    ("utility.weights.buy.times", "margn", "weights.buy.times", "Did you mean 'margin'"),
    ("utility.contexts.0.weights", {"return": 9.0}, "contexts.0.weights.return", "has a negative weight"),
    ("utility.contexts.0.when", {"tenure": []}, "contexts.0.when.tenure", "at least 1"),
    ("utility.relevance_floor", {"spend": 0.1}, "relevance_floor", "no probability"),
    ("utility.relevance_floor", {"click": 1.5}, "relevance_floor.click", "less than or equal to 1"),
    ("utility.approvals", [], "approvals", "at least 1"),
    ("utility.approvals", ["safety"], "approvals", "Known: product"),
    ("utility.guardrails", [], "guardrails", "needs a guardrail"),
    ("utility.guardrails.0.metric", "return_rat", "guardrails.0.metric", "Did you mean 'return_rate'"),
    ("utility.guardrails.0.by", ["tenure"], "guardrails.0.by", "Unknown segment"),
    ("utility.guardrails.0.relative_increase_max", None, "guardrails.0", "has no bound"),
    ("utility.hard_constraints", [{"name": "x"}], "hard_constraints.0", "exactly one of drop_when, keep_when"),
    ("utility.lexicographic", [{"task": "click", "cuts": [0.2, 0.1]}], "lexicographic.0", "cuts must increase"),
    ("utility.lexicographic", [{"task": "happy", "cuts": [0.2]}], "lexicographic.0.prefer", "has no direction"),
    ("slate.length", 0, "length", "greater than or equal to 1"),
    ("slate.min_where_if_available", {"exploration": 11}, "min_where_if_available", "asks for 11 of 10"),
    ("slate.version", "1", "version", "integer"),
    ("slate.exploration", exploring(10), "exploration.slots", "draws 10 of 10 slots; leave at least one"),
    ("slate.exploration", exploring(0), "exploration.slots", "greater than or equal to 1"),
    ("slate.exploration", exploring(1, above=1, equals=True), "exploration.where", "exactly one of equals"),
    ("slate.exploration", exploring(1, salt=""), "exploration.salt", "at least 1 character"),
    ("slate.exploration", {"slots": 2, "among": 2}, "exploration", "let among be above slots"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "field", "hint"), BAD, ids=[f"{p}={v}" for p, v, _, _ in BAD])
def test_what_is_wrong_is_named_with_its_field_and_the_way_out(
    tmp_path: Path, path: str, value: Any, field: str, hint: str
) -> None:
    problems = check_files(tmp_path, setting(path, value)).problems
    found = [p for p in problems if p.field == field and p.file == f"{path.split('.', maxsplit=1)[0]}.yaml"]
    assert any(hint in p.hint for p in found), [str(p) for p in problems]


def test_what_other_files_say_is_checked_where_a_task_cannot_be_read(tmp_path: Path) -> None:
    """The broken task stands for itself: nothing is held against what names it."""

    def change(files: Files) -> None:
        files["tasks"]["tasks"]["return"]["familly"] = "negative"
        files["utility"]["weights"]["clik"] = 1.0
        files["surface"]["base_rates"] = {"bu": [0, 1]}
        files["slate"]["min_where_if_available"] = {"exploration": 11}

    problems = check_files(tmp_path, change).problems
    assert sorted((p.file, p.field) for p in problems) == [
        ("slate.yaml", "min_where_if_available"),
        ("surface.yaml", "base_rates.bu"),
        ("tasks.yaml", "tasks.return.familly"),
        ("utility.yaml", "weights.clik"),
    ]


def test_a_chain_of_thousands_of_tasks_is_one_problem(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        for i in range(3_000):
            after = {"after": f"t{i - 1}"} if i else {}
            files["tasks"]["tasks"][f"t{i}"] = {
                "family": "engagement",
                "positive": {"event": f"e{i}", "within": "PT1H", **after},
            }

    (problem,) = check_files(tmp_path, change).problems
    assert "a chain of more than 50 tasks" in problem.hint
    assert len(problem.found) < 100


def test_guardrails_that_are_never_judged_and_one_person_for_every_role_are_warned_of(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["utility"]["approvals"] = ["product", "safety"]
        files["surface"]["reviewers"] = {"product": ["ana", "ben"], "safety": ["ana"]}
        files["utility"]["guardrails"] += [
            {"metric": name, "max": 0.5}
            for name in ("coverage", "category_share:garden", "visit_rate", "click_rate", "category_entropy")
        ]

    checked = check_files(tmp_path / "shown", change)
    warned = {(one.field, one.found) for one in checked.warnings}
    assert ("reviewers", "ana") in warned
    assert {found for field, found in warned if field.startswith("guardrails")} == {
        *("coverage", "category_share:garden", "category_entropy", "visit_rate"),
    }

    candidates = setting("surface.sources.candidates", "feed/candidates/*.parquet")
    reviewer = setting("surface.reviewers.safety", ["cy"])
    complete = check_files(tmp_path / "all", change, candidates, reviewer)
    assert [one.found for one in complete.warnings if one.field != "weights.buy.times"] == ["visit_rate"]


@pytest.mark.parametrize(("family", "warnings"), [("negative", 1), ("long_term", 0)])
def test_an_event_that_opens_its_own_window_is_warned_of_unless_a_repeat_is_meant(
    tmp_path: Path, family: str, warnings: int
) -> None:
    def change(files: Files) -> None:
        files["tasks"]["tasks"]["return"]["family"] = family
        files["tasks"]["tasks"]["return"]["positive"]["event"] = ["return", "purchase"]
        if family == "long_term":
            files["utility"]["weights"]["return"] = 5.0
            del files["utility"]["contexts"]

    checked = check_files(tmp_path, change)
    assert not checked.problems
    found = [w for w in checked.warnings if w.field == "tasks.return.positive.event"]
    assert [w.found for w in found] == ["purchase"] * warnings


def test_what_is_allowed_but_seldom_meant_is_a_warning(tmp_path: Path) -> None:
    weight = setting("tasks.tasks.click.loss_weight", 4.0)
    bound = setting("utility.guardrails.0.relative_increase_max", 0)
    checked = check_files(tmp_path, weight, bound)
    assert not checked.problems
    assert [w.field for w in checked.warnings] == [
        "tasks.click.loss_weight",
        "guardrails.0.relative_increase_max",
        "weights.buy.times",
    ]
    instead = ("regularisation", "balanced", "half_life", "start_from")
    assert all(word in checked.warnings[0].hint for word in instead)


def test_candidates_are_logged_one_way_and_only_a_declared_ramp_is_permitted(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        plain = files["surface"]
        plain["sources"]["candidates"] = "feed/candidates/*.parquet"
        plain["shown_is_all"] = True
        plain.setdefault("gates", {})["decision"] = {"shown_only": "canary"}
        plain.pop("ramp", None)

    found = {p.field: p.hint for p in check_files(tmp_path, change).problems}
    assert "leave one out" in found["shown_is_all"]
    assert "declare `ramp: {guardrails: [hide_7d_rate]}`" in found["gates.decision.shown_only"]


def test_a_ramp_is_guarded_by_known_rates_of_binary_tasks(tmp_path: Path) -> None:
    ramp = {"guardrails": ["click_rate", "clik_rate", "click_calibration"]}
    problems = check_files(tmp_path, setting("surface.ramp", ramp)).problems
    assert [p.field for p in problems] == ["ramp.guardrails.1", "ramp.guardrails.2"]
    assert "Did you mean 'click_rate'?" in problems[0].hint
