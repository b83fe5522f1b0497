"""Newer rows are no merit of a recipe: the row says what differs from the champion, and by how many days."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tasks.contracts.gates import ModelGate
from tasks.evaluation.replay_evidence import ChampionComparison, SegmentComparison
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict
from tasks.promotion.gates.same_day import RecipePair, SameDay, TaskRecipe, judge_recipes, judge_same_day
from tests.verdicts import bound, subject

DAY = date(2026, 5, 1)
EQUAL = Estimate(0.0, -0.001, 0.001, 900)
BETTER = Estimate(-0.03, -0.04, -0.02, 900)
LOST = Estimate(0.03, 0.02, 0.04, 900)
VAGUE = Estimate(0.003, -0.02, 0.026, 40)


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


def _compared(
    drop: Estimate | None = EQUAL, rise: Estimate = EQUAL, *, pooled: Estimate = EQUAL, newer: int = 7
) -> RecipePair:
    found = ChampionComparison(
        task="click", auc_drop=pooled, normalized_entropy_rise=rise, auc_by_request_drop=drop
    )
    pair = _pair("click", "new", "old", newer=newer)
    return RecipePair(pair.ours, pair.champion, SameDay(found, "", "same-day run"))


def _judged(*pairs: RecipePair) -> dict[str, Verdict]:
    return {str(verdict.subject): verdict for verdict in judge_recipes(ModelGate(), pairs)}


@pytest.mark.parametrize(
    ("loss", "outcome"),
    [
        (BETTER, Outcome.PASS),
        (EQUAL, Outcome.PASS),
        (LOST, Outcome.BLOCK),
        (VAGUE, Outcome.INCONCLUSIVE),
        (UNKNOWN_ESTIMATE, Outcome.INCONCLUSIVE),
    ],
    ids=["better", "no worse", "worse", "an interval over the bound", "too few users"],
)
def test_a_changed_recipe_is_judged_by_the_bounds_of_the_model_gate(loss: Estimate, outcome: Outcome) -> None:
    error = _judged(_compared(rise=loss))["click.normalized_entropy_rise vs the champion's recipe"]
    assert (error.outcome, error.threshold, error.observed) == (outcome, bound("<= 0.01"), loss)
    assert error.evidence == "same-day run"
    order = _judged(_compared(loss, pooled=loss))
    (drop,) = (verdict for name, verdict in order.items() if "auc" in name)
    assert (drop.outcome, drop.threshold) == (outcome, bound("<= 0.005"))


@pytest.mark.parametrize(
    "inside", [None, UNKNOWN_ESTIMATE], ids=["request-level", "too few pairs inside requests"]
)
def test_where_pairs_inside_requests_inconclusive_all_rows_do(inside: Estimate | None) -> None:
    verdicts = _judged(_compared(inside, pooled=LOST))
    assert verdicts["click.auc_drop vs the champion's recipe"].outcome is Outcome.BLOCK
    assert "click.auc_by_request_drop vs the champion's recipe" not in verdicts


def _segment(name: Segment, drop: Estimate, rise: Estimate = EQUAL) -> SegmentComparison:
    return SegmentComparison(segment=name, auc_by_request_drop=drop, normalized_entropy_rise=rise)


def _with_segments(*segments: SegmentComparison, task: str = "click") -> RecipePair:
    pair = _compared()
    assert pair.compared is not None
    found = pair.compared.model_copy(update={"segments": segments, "task": task})
    return replace(pair, same_day=SameDay(found, "", "same-day run"))


def test_a_segment_that_the_new_recipe_harms_blocks_by_name_though_the_whole_passes() -> None:
    rest = [_segment(Segment("region", str(i)), EQUAL) for i in range(8)]
    for harmed, metric in (
        (_segment(Segment("tenure", "new"), LOST), "auc_by_request_drop"),
        (_segment(Segment("tenure", "new"), EQUAL, rise=LOST), "normalized_entropy_rise"),
    ):
        whole, *segments = _of(_with_segments(harmed, *rest), f"click.{metric} vs the champion's recipe")
        assert (whole.segment, whole.outcome) == (ALL, Outcome.PASS)
        (blocked,) = segments
        assert (blocked.segment, blocked.outcome, blocked.evidence) == (
            *(Segment("tenure", "new"), Outcome.BLOCK),
            "same-day run",
        )


def test_segments_that_no_recipe_harms_are_one_row_and_those_that_cannot_be_told_hold_nothing() -> None:
    unknown = _segment(Segment("tenure", "unknown"), UNKNOWN_ESTIMATE, UNKNOWN_ESTIMATE)
    pair = _with_segments(
        _segment(Segment("tenure", "new"), VAGUE), _segment(Segment("tenure", "old"), EQUAL), unknown
    )
    _, worst = _of(pair, "click.auc_by_request_drop vs the champion's recipe")
    assert (worst.segment, worst.outcome) == (Segment("tenure", "new"), Outcome.PASS)
    assert worst.reason.endswith("; 1 more inconclusive")
    (row,) = _of(_with_segments(unknown), "click.segments vs the champion's recipe")
    assert row.outcome is Outcome.WARN
    assert row.reason.startswith(
        "none of 1 segments has the data to be compared with the champion's recipe, "
    )


def test_the_more_recipes_changed_the_less_one_odd_segment_says() -> None:
    """A drop whose p-value is .02: below .025 of one recipe, above what each of two may claim."""
    odd = Estimate(0.0255, 0.0055, 0.0455, 90)
    alone = _with_segments(_segment(Segment("tenure", "new"), odd, UNKNOWN_ESTIMATE))
    assert _of(alone, "click.auc_by_request_drop vs the champion's recipe")[-1].outcome is Outcome.BLOCK
    both = [alone, _with_segments(task="hide")]
    assert (
        _of(both[0], "click.auc_by_request_drop vs the champion's recipe", *both[1:])[-1].outcome
        is Outcome.PASS
    )


AMOUNT = ChampionComparison(task="click", auc_drop=None, normalized_entropy_rise=None)


def _only(found: ChampionComparison) -> list[tuple[str, Segment, Outcome, str]]:
    pair = replace(_compared(), same_day=SameDay(found, "", "same-day run"))
    return [
        (str(one.subject), one.segment, one.outcome, str(one.threshold))
        for one in judge_recipes(ModelGate(), [pair])
    ]


@pytest.mark.parametrize("metric", ["relative_squared_error_rise", "relative_pinball_loss_rise"])
def test_an_amount_is_judged_by_its_own_error_alone_on_the_whole_and_in_segments(metric: str) -> None:
    harmed = SegmentComparison(
        segment=Segment("tenure", "new"),
        auc_by_request_drop=None,
        normalized_entropy_rise=None,
        **{metric: LOST},
    )
    found = AMOUNT.model_copy(update={metric: EQUAL, "segments": (harmed,)})
    subject = f"click.{metric} vs the champion's recipe"
    assert _only(found) == [
        (subject, ALL, Outcome.PASS, "<= 0.01"),
        (subject, Segment("tenure", "new"), Outcome.BLOCK, "<= 0.01"),
    ]


@pytest.mark.parametrize(
    ("drop", "outcome"), [(LOST, Outcome.BLOCK), (UNKNOWN_ESTIMATE, Outcome.INCONCLUSIVE)]
)
def test_an_order_is_judged_inside_requests_alone_since_it_has_no_unit(
    drop: Estimate, outcome: Outcome
) -> None:
    found = AMOUNT.model_copy(update={"auc_by_request_drop": drop})
    assert _only(found) == [("click.auc_by_request_drop vs the champion's recipe", ALL, outcome, "<= 0.005")]


def _of(pair: RecipePair, name: str, *others: RecipePair) -> list[Verdict]:
    return [one for one in judge_recipes(ModelGate(), [pair, *others]) if one.subject == subject(name)]


def test_a_compared_recipe_is_named_by_the_row_and_newer_rows_are_no_doubt_about_it() -> None:
    row = judge_same_day([_compared(), _pair("hide", "b", "b", newer=7)], run="r")
    assert row.outcome is Outcome.NO_RULE
    assert row.reason == "another recipe than the champion's, judged beside it as of the same day: click"


def test_what_was_not_compared_warns_and_says_why_beside_what_was() -> None:
    hide = _pair("hide", "new", "old", newer=7)
    hide = RecipePair(hide.ours, hide.champion, SameDay(None, "the log no longer has price", "run"))
    row = judge_same_day([_compared(), hide], run="r")
    assert row.outcome is Outcome.WARN
    assert row.reason.endswith("hide (rows newer by 7 days; not compared: the log no longer has price)")
    assert ": click; another" in row.reason
    assert list(_judged(hide)) == []


def test_the_same_recipe_and_no_champion_are_judged_by_no_bound() -> None:
    assert _judged(_pair("click", "a", "a", newer=7)) == {}
    assert list(judge_recipes(ModelGate(), None)) == []
