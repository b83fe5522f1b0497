"""What a policy asks of tasks and surface; single problems stand in test_crosscheck.py."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.files import Files, check_files, setting

Change = Callable[[Files], None]


DROPPED = {"name": "violation", "drop_when": {"column": "violation", "equals": True}}
OTHERWISE = {**DROPPED, "drop_when": {"column": "permitted", "equals": False}}
NIGHT = {"name": "night", "when": {"tenure": ["new"]}, "weights": {"click": 1.0}}
LESS = {"name": "less", "when": {"control": ["less"]}, "factor": 0.3}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"hard_constraints": [DROPPED, OTHERWISE]}, ["hard_constraints"]),
        ({"contexts": [NIGHT, {**NIGHT, "when": {"tenure": ["old"]}}]}, ["contexts"]),
        (
            {"hard_constraints": [DROPPED], "contexts": [{**NIGHT, "hard_constraints": [OTHERWISE]}]},
            ["contexts.0.hard_constraints"],
        ),
        ({"multipliers": [LESS]}, ["multipliers"]),
        ({"contexts": [{**NIGHT, "multipliers": [LESS]}]}, ["multipliers"]),
        (
            {
                "offset": {"scale": 0.1},
                "weights": {"return": {"weight": -1.0, "times": "margin"}},
                "multipliers": [LESS, LESS],
            },
            ["weights.return.times", "multipliers"],
        ),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_by_field(
    tmp_path: Path, changes: dict[str, Any], fields: list[str]
) -> None:
    without_aliases = json.loads(json.dumps(changes))
    problems = check_files(tmp_path, lambda files: files["utility"].update(without_aliases)).problems
    assert [problem.field for problem in problems] == fields


def test_a_context_behind_one_that_matches_more_can_never_match(tmp_path: Path) -> None:
    contexts = [
        {"name": "any_new", "when": {"tenure": ["new", "returning"]}, "weights": {"return": -9.0}},
        {"name": "new_eu", "when": {"tenure": "new", "region": "eu"}, "weights": {"return": -12.0}},
    ]
    problems = check_files(tmp_path, setting("utility.contexts", contexts)).problems
    assert [p.hint for p in problems] == ["can never match: 'any_new' matches all of it first"]


@pytest.mark.parametrize(
    ("term", "field", "hint"),
    [
        ({"name": "click", "task": "buy", "weight": 1.0}, "terms.click", "is the name of a task"),
        ({"task": "by", "weight": 1.0}, "terms.x.task", "Did you mean 'buy'"),
        ({"task": "buy", "weight": -1.0}, "terms.x", "has a positive weight"),
        ({"task": "visit", "weight": 1.0}, "terms.x", "same for every candidate"),
        ({"greater_of": ["buy", "return"], "weight": 1.0}, "terms.x", "has a negative weight"),
        ({"greater_of": ["buy", "spend"], "weight": 1.0}, "terms.x.greater_of", "tasks of one kind"),
        ({"task": "buy", "weight": 1.0, "where": {"clik": {"min": 0.2}}}, "terms.x.where", "'click'"),
        (
            {"task": "buy", "weight": 1.0, "where": {"visit": {"min": 0.2}}},
            "terms.x.where",
            "does not distinguish them",
        ),
        ({"column": "risk", "weight": -1.0}, "terms.x.column", "Unknown value column 'risk'"),
        ({"column": "margin", "weight": 0.0}, "terms.x", "weighs nothing"),
        ({"task": "buy", "weight": 1.0, "times": "price"}, "terms.x.times", "value column"),
    ],
)
@pytest.mark.parametrize("place", ["", "contexts.0."])
def test_a_term_that_does_not_fit_is_named_with_its_field(
    tmp_path: Path, term: dict[str, Any], field: str, hint: str, place: str
) -> None:
    name = str(term.get("name", "x"))
    terms = {name: {key: value for key, value in term.items() if key != "name"}}

    def change(files: Files) -> None:
        utility = files["utility"]
        (utility["contexts"][0] if place else utility)["terms"] = terms

    (problem,) = check_files(tmp_path, change).problems
    assert problem.field == f"{place}{field}"
    assert hint in problem.hint


def test_a_ranking_head_is_in_no_term_and_a_cost_under_an_offset_has_a_cap(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"]["training"] = {"happy": {"objective": "lambdarank"}}
        files["utility"] |= {
            "offset": {"scale": 0.1},
            "terms": {
                "best": {"greater_of": ["click", "happy"], "weight": 1.0},
                "risk": {"column": "margin", "weight": -1.0},
            },
        }

    found = {one.field for one in check_files(tmp_path, change).problems}
    assert found == {"terms.best.happy", "terms.risk"}


def contexts(*conditions: dict[str, list[str]]) -> Change:
    declared = [
        {"name": f"c{i}", "when": when, "weights": {"return": -9.0}} for i, when in enumerate(conditions)
    ]
    change: Change = setting("utility.contexts", declared)
    return change


def hints(tmp_path: Path, *changes: Change) -> list[str]:
    return [problem.hint for problem in check_files(tmp_path, *changes).problems]


def test_a_context_that_earlier_ones_cover_together_is_refused(tmp_path: Path) -> None:
    both = {"tenure": ["new", "old"], "region": ["eu", "us"]}
    parts = [
        {"tenure": ["new"], "region": ["eu"]},
        {"region": ["us"]},
        {"tenure": ["old"], "region": ["eu"]},
    ]
    assert hints(tmp_path, contexts(*parts, both)) == [
        "can never match: 'c0', 'c2', 'c1' match all of it first"
    ]


@pytest.mark.parametrize(
    "earlier",
    [
        [{"tenure": ["new"]}],  # old people are left
        [{"tenure": ["new"]}, {"tenure": ["old"], "app": ["yes"]}],  # old people without the app are left
    ],
)
def test_a_context_of_which_something_is_left_is_kept(tmp_path: Path, earlier: Any) -> None:
    assert hints(tmp_path, contexts(*earlier, {"tenure": ["new", "old"]})) == []


def test_a_floor_of_a_context_names_a_task_with_a_probability(tmp_path: Path) -> None:
    floor = setting("utility.contexts.0.relevance_floor", {"spend": 0.1, "clik": 0.1})
    assert sorted(hints(tmp_path, floor)) == [
        "Unknown task 'clik'. Known: buy, click, happy, return, spend, visit. Did you mean 'click'?",
        "a value task has no probability",
    ]


def test_a_slate_of_a_context_can_hold_its_minimums_and_a_decay_needs_an_offset(tmp_path: Path) -> None:
    minimum = setting("slate.min_where_if_available", {"fresh": 3})
    decay = setting("slate.decay", {"by": "creator", "factor": 0.5})
    short = setting("utility.contexts.0.slate", {"length": 2})
    assert hints(tmp_path, minimum, decay, short) == [
        "needs an offset in utility.yaml: a negative utility would rise by a share below 1",
        "asks for 3 of 2 slots",
    ]


def test_an_exposure_ratio_needs_a_merit_that_candidates_have(tmp_path: Path) -> None:
    def change(merit: str, by: str = "category") -> Change:
        def add(files: Files) -> None:
            files["slate"]["exposure"] = {"by": by, "merit": merit}
            files["utility"]["guardrails"].append({"metric": "category_exposure_ratio:tea", "min": 0.8})

        return add

    assert [hints(tmp_path, change(merit)) for merit in ("utility", "buy")] == [[], []]
    for merit in ("spend", "visit", "by"):
        assert ["Unknown merit" in hint for hint in hints(tmp_path, change(merit))] == [True]
    target = {"by": "category", "least": {"tea": 0.8}, "most": 0.1}
    assert ["is never measured" in hint for hint in hints(tmp_path, setting("slate.exposure", target))] == [
        True
    ]
    assert hints(tmp_path, change("buy", by="creator")) == [
        "needs a definition of merit in slate.yaml: exposure: {by: category}"
    ]


def test_draws_leave_slots_to_utility_and_to_minimums_in_every_context(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        where = {"column": "fresh", "equals": True}
        files["slate"]["exploration"] = {"slots": 2, "where": where, "salt": "s"}
        files["slate"]["min_where_if_available"] = {"fresh": 9}
        own = {"length": 2, "min_where_if_available": {"fresh": 1}}
        files["utility"]["contexts"][0]["slate"] = own

    assert hints(tmp_path, change) == [
        "minimums ask for 9 and exploration for 2 of 10 slots",
        "exploration draws 2 of 2 slots; leave at least one to utility",
    ]


def test_what_a_policy_asks_of_tasks_is_checked_where_the_surface_cannot_be_read(tmp_path: Path) -> None:
    def change(files: Files) -> None:
        files["surface"]["spli"] = {}
        files["utility"]["weights"]["clik"] = 1.0
        files["utility"]["guardrails"] = []

    problems = check_files(tmp_path, change).problems
    assert [(p.file, p.field) for p in problems] == [
        ("surface.yaml", "spli"),
        ("utility.yaml", "weights.clik"),
        ("utility.yaml", "guardrails"),
    ]


def metrics_named(tmp_path: Path, change: Change) -> list[str]:
    """Return the metrics that the message about an unknown one names."""
    (hint,) = (each for each in hints(tmp_path, change) if each.startswith("Unknown metric"))
    return hint.partition("Known: ")[2].rpartition(".")[0].split(", ")


def test_every_metric_that_is_named_in_place_of_an_unknown_guardrail_is_accepted(tmp_path: Path) -> None:
    def guarded(*names: str) -> Change:
        costs = [{"metric": "return_predicted", "relative_increase_max": 0.05}]
        rails = costs + [{"metric": name, "max": 0.5} for name in names]
        change: Change = setting("utility.guardrails", rails)
        return change

    named = metrics_named(tmp_path, guarded("nothing_of_the_kind"))
    assert [name for name in named if "_given_" in name] == [
        "happy_given_click_rate",
        "return_given_buy_rate",
    ]
    assert "category_share:VALUE" in named
    assert hints(tmp_path, guarded(*named)) == []


def test_every_metric_that_is_named_in_place_of_an_unknown_primary_is_accepted(tmp_path: Path) -> None:
    named = metrics_named(tmp_path, setting("utility.primary", {"metric": "nothing_of_the_kind"}))
    assert "buy_rate" in named
    for name in named:
        assert hints(tmp_path, setting("utility.primary", {"metric": name})) == []


def test_each_of_several_primaries_is_checked_and_named_once(tmp_path: Path) -> None:
    two = [{"metric": "buy_rate"}, {"metric": "return_rate"}]
    (problem,) = check_files(tmp_path, setting("utility.primary", two)).problems
    assert (problem.field, "may fall" in problem.hint) == ("primary.1.metric", True)
    assert (
        hints(tmp_path, setting("utility.primary", [{"metric": "buy_rate"}, {"metric": "ndcg_click"}])) == []
    )
    twice = [{"metric": "buy_rate"}, {"metric": "buy_rate", "relative_decrease_max": 0.1}]
    assert "more than once" in hints(tmp_path, setting("utility.primary", twice))[0]


def test_the_share_of_a_value_with_a_space_may_be_guarded(tmp_path: Path) -> None:
    rails = [
        {"metric": "return_predicted", "relative_increase_max": 0.05},
        {"metric": "category_share:home decor", "max": 0.3},
    ]
    assert hints(tmp_path, setting("utility.guardrails", rails)) == []


TUNED: dict[str, Any] = {
    "maximise": "buy_predicted",
    "subject_to": [{"metric": "return_predicted", "relative_increase_max": 0.0}],
    "ranges": {"click": [0, 2]},
}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("primary.metric", lambda name: setting("utility.primary", {"metric": name})),
        (
            "guardrails.1.metric",
            lambda name: lambda files: files["utility"]["guardrails"].append({"metric": name, "max": 1}),
        ),
        (
            "constrained.maximise",
            lambda name: setting("utility.constrained", {**TUNED, "maximise": name}),
        ),
        (
            "constrained.subject_to.0.metric",
            lambda name: setting(
                "utility.constrained", {**TUNED, "subject_to": [{"metric": name, "max": 1}]}
            ),
        ),
    ],
)
def test_a_rate_given_a_task_is_refused_wherever_the_outcome_does_not_hang_on_it(
    tmp_path: Path, field: str, change: Callable[[str], Change]
) -> None:
    """Of a task that an outcome does not come after, the quotient is a share of nothing."""
    checked = check_files(tmp_path, change("buy_given_click_rate"))
    assert [(one.field, one.found, one.hint) for one in checked.problems] == [
        (field, "'buy_given_click_rate'", "buy does not hang on click; it hangs on nothing")
    ]
    assert check_files(tmp_path, change("happy_given_click_rate")).problems == ()
