"""Newer rows are no merit of a recipe: the row says what differs from the champion, and by how many days."""

from datetime import date, timedelta

from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.same_day import RecipePair, TaskRecipe, judge_same_day

DAY = date(2026, 5, 1)


def _pair(task: str, ours: str | None, theirs: str | None, *, newer: int) -> RecipePair:
    return RecipePair(TaskRecipe(task, ours, DAY + timedelta(days=newer)), TaskRecipe(task, theirs, DAY))


def test_the_same_recipe_differs_by_data_only() -> None:
    verdict = judge_same_day([_pair("click", "a", "a", newer=7), _pair("hide", "b", "b", newer=5)], run="r")
    assert (verdict.outcome, verdict.evidence) == (Outcome.NO_RULE, "r")
    assert verdict.reason == "same recipe: what differs is data only, newer by 7 days"
    assert verdict.observed is not None
    assert verdict.observed.value == 7


def test_another_recipe_on_newer_rows_warns_and_names_its_tasks() -> None:
    verdict = judge_same_day([_pair("click", "new", "a", newer=7), _pair("hide", "b", "b", newer=7)], run="r")
    assert verdict.outcome is Outcome.WARN
    assert verdict.reason.endswith("may be all of its gain: click (rows newer by 7 days)")


def test_another_recipe_on_rows_that_are_no_newer_earned_its_gain() -> None:
    verdict = judge_same_day([_pair("click", "new", "a", newer=0)], run="r")
    assert verdict.outcome is Outcome.NO_RULE


def test_a_recipe_that_nobody_kept_is_unknown_and_not_the_same() -> None:
    verdict = judge_same_day([_pair("click", "new", None, newer=7)], run="r")
    assert (verdict.outcome, verdict.reason) == (
        Outcome.NO_RULE,
        "an earlier program kept no recipe of click; rows newer by 7 days",
    )


def test_a_model_that_both_serve_has_one_recipe_even_where_nobody_kept_it() -> None:
    verdict = judge_same_day([_pair("return", None, None, newer=0)], run="r")
    assert verdict.reason == "same recipe and equally new rows"


def test_without_a_champion_or_a_common_task_there_is_nothing_to_compare() -> None:
    assert judge_same_day(None, run="r").reason == "no champion to compare with"
    assert judge_same_day([], run="r").reason == "no task in common with the champion"
