"""Gains over the champion: a head that predicts too much better is taken to know its outcome."""

from dataclasses import replace
from typing import Any

import pytest

from tasks.contracts.gates import ModelGate
from tasks.evaluation.evidence import ChampionComparison, HeadInputs, SegmentComparison
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.references import HeadReferences, RankReference
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict
from tasks.promotion.gates.gains import (
    Gains,
    RecipePair,
    SameDay,
    evaluate_gains,
    evaluate_recipes,
    evaluate_same_day,
)
from tests.evaluation.task_figures import task_figures
from tests.verdicts import bound, subject

HONEST = Estimate(-0.002, -0.004, 0.001, 900)
LEAK = Estimate(-0.15, -0.17, -0.13, 900)
COUNTED = Gains(counted={"buy"}, run="release run")
FALL = "buy.normalized_entropy_fall"


def task(head: float = 0.75, best: float = 0.6) -> TaskFigures:
    head_auc, best_auc = (Estimate(auc, auc - 0.01, auc + 0.01, 900) for auc in (head, best))
    ranked = RankReference(feature="price", head=head_auc, best=best_auc, gain=UNKNOWN_ESTIMATE)
    references = HeadReferences(base=0.04, relative_squared_error=None, auc=ranked, auc_by_request=ranked)
    return task_figures(task="buy", size=(900, 90), references=references)


def comparison(rise: Estimate, **segments: Estimate) -> ChampionComparison:
    parts = [
        SegmentComparison(
            segment=Segment("region", str(name)), auc_by_request_drop=None, normalized_entropy_rise=one
        )
        for name, one in segments.items()
    ]
    return ChampionComparison(task="buy", auc_drop=None, normalized_entropy_rise=rise, segments=tuple(parts))


def changed(same_day: ChampionComparison | None, *added: str) -> RecipePair:
    return RecipePair("buy", "new", "old", 0, SameDay(same_day, "", "same-day run"), added)


def judged(
    against: ChampionComparison | None, gains: Gains = COUNTED, of: TaskFigures | None = None
) -> dict[tuple[str, Segment], Verdict]:
    comparisons = None if against is None else [against]
    found = evaluate_gains([of or task()], comparisons, gains, run="simulation")
    return {(str(verdict.subject), verdict.segment): verdict for verdict in found}


@pytest.mark.parametrize(
    ("rise", "outcome"),
    [
        (HONEST, Outcome.PASS),
        (Estimate(-0.015, -0.02, -0.01, 900), Outcome.PASS),
        (LEAK, Outcome.BLOCK),
        (Estimate(-0.05, -0.09, -0.01, 40), Outcome.BLOCK),
        (Estimate(-0.05, -0.12, 0.02, 40), Outcome.INCONCLUSIVE),
        (Estimate(-0.01, -0.05, 0.03, 40), Outcome.INCONCLUSIVE),
    ],
    ids=["a week", "half-way to the truth", "a partial leak", "a sparse leak", "not shown", "small, sparse"],
)
def test_a_head_of_the_same_recipe_may_gain_three_percent(rise: Estimate, outcome: Outcome) -> None:
    verdict = judged(comparison(rise))[FALL, ALL]
    assert (verdict.outcome, verdict.evidence) == (outcome, "simulation")
    assert verdict.observed is not None
    assert verdict.observed.value == -rise.value
    assert not verdict.holds


def test_what_past_retrains_gained_widens_the_bound_from_five_of_them_on() -> None:
    weeks = {subject(FALL): [0.0, 0.08, 0.0, 0.08]}
    assert judged(comparison(LEAK), replace(COUNTED, past=weeks))[FALL, ALL].outcome is Outcome.BLOCK
    weeks[subject(FALL)].append(0.04)  # the standard deviation is .04
    verdict = judged(comparison(LEAK), replace(COUNTED, past=weeks))[FALL, ALL]
    assert (str(verdict.threshold), verdict.outcome) == ("<= 0.16", Outcome.INCONCLUSIVE)


def test_a_leak_in_one_segment_holds_where_the_whole_passes() -> None:
    found = judged(comparison(HONEST, north=HONEST, south=LEAK))
    assert found[FALL, ALL].outcome is Outcome.PASS
    assert found[FALL, Segment("region", "south")].outcome is Outcome.BLOCK
    assert (FALL, Segment("region", "north")) not in found


def test_a_gain_without_weight_is_a_warning() -> None:
    assert judged(comparison(LEAK), Gains())[FALL, ALL].outcome is Outcome.WARN


@pytest.mark.parametrize(
    ("error", "metric"),
    [
        ("relative_squared_error_rise", "relative_squared_error_fall"),
        ("relative_pinball_loss_rise", "relative_pinball_loss_fall"),
        ("auc_by_request_drop", "auc_by_request_rise"),
    ],
)
def test_other_heads_are_judged_by_their_own_error(error: str, metric: str) -> None:
    errors: dict[str, Any] = {error: LEAK}
    against = ChampionComparison(task="buy", auc_drop=None, normalized_entropy_rise=None, **errors)
    assert judged(against)[f"buy.{metric}", ALL].outcome is Outcome.BLOCK


def test_what_a_changed_recipe_gains_on_the_same_day_is_not_held_against_the_data() -> None:
    gained = Estimate(-0.06, -0.08, -0.04, 900)
    pair = changed(comparison(gained))
    found = judged(comparison(gained), replace(COUNTED, recipes={"buy": pair}))
    assert found[FALL, ALL].outcome is Outcome.PASS
    told = found["buy.normalized_entropy_fall vs the champion's recipe", ALL]
    assert (told.outcome, told.evidence) == (Outcome.WARN, "same-day run")


def test_a_leak_of_the_data_is_found_although_the_recipe_changed_too() -> None:
    """Both recipes learn from the same leaking column, so their comparison shows nothing of it."""
    pair = changed(comparison(HONEST))
    assert judged(comparison(LEAK), replace(COUNTED, recipes={"buy": pair}))[FALL, ALL].outcome is (
        Outcome.BLOCK
    )


def test_a_changed_recipe_that_was_not_compared_is_judged_as_if_it_were_the_same() -> None:
    found = judged(comparison(LEAK), replace(COUNTED, recipes={"buy": changed(None)}))
    assert found[FALL, ALL].outcome is Outcome.BLOCK


@pytest.mark.parametrize(
    ("added", "share", "outcome"),
    [("coupon", 0.7, Outcome.BLOCK), ("coupon", 0.3, Outcome.WARN), ("price", 0.7, Outcome.WARN)],
    ids=["most of the gain", "a part of it", "it was read before"],
)
def test_a_new_feature_that_brings_most_of_an_implausible_gain_holds(
    added: str, share: float, outcome: Outcome
) -> None:
    reads = HeadInputs(task="buy", gains={"coupon": share, "price": 1 - share})
    pair = changed(comparison(LEAK), *({added} - {"price"}))
    gains = replace(COUNTED, recipes={"buy": pair}, inputs={"buy": reads})
    verdict = judged(comparison(LEAK), gains)["buy.normalized_entropy_fall vs the champion's recipe", ALL]
    assert verdict.outcome is outcome
    assert ("coupon" in verdict.reason) is (added == "coupon")


def test_a_new_feature_that_leaks_in_one_segment_is_told() -> None:
    pair = changed(comparison(HONEST, south=LEAK), "coupon")
    found = judged(comparison(HONEST, south=LEAK), replace(COUNTED, recipes={"buy": pair}))
    verdict = found["buy.normalized_entropy_fall vs the champion's recipe", Segment("region", "south")]
    assert verdict.outcome is Outcome.WARN
    assert (FALL, Segment("region", "south")) not in found


def test_a_first_release_names_the_feature_with_most_of_the_gain() -> None:
    reads = HeadInputs(task="buy", gains={"coupon": 0.61, "price": 0.39})
    verdict = judged(None, replace(COUNTED, inputs={"buy": reads}))["buy.gain_of_one_feature", ALL]
    assert verdict.outcome is Outcome.WARN
    assert verdict.reason.startswith("coupon ")
    assert not judged(
        None, replace(COUNTED, inputs={"buy": HeadInputs(task="buy", gains={"coupon": 0.6, "price": 0.4})})
    )


@pytest.mark.parametrize(
    ("head", "best", "named"),
    [(0.93, 0.89, True), (0.93, 0.87, False), (0.89, 0.89, False)],
    ids=["near a high head", "far from it", "the head is not high"],
)
def test_a_first_release_names_a_feature_that_ranks_almost_as_well(
    head: float, best: float, *, named: bool
) -> None:
    found = judged(None, of=task(head, best))
    assert (("buy.auc_of_one_feature", ALL) in found) is named
    assert all(verdict.outcome is Outcome.WARN for verdict in found.values())


EQUAL = Estimate(0.0, -0.001, 0.001, 900)
BETTER = Estimate(-0.03, -0.04, -0.02, 900)
LOST = Estimate(0.03, 0.02, 0.04, 900)
VAGUE = Estimate(0.003, -0.02, 0.026, 40)


UNCOMPARED = "another recipe than the champion's, and newer rows may be all of its gain"


@pytest.mark.parametrize(
    ("pairs", "outcome", "reason"),
    [
        (
            [RecipePair("click", "a", "a", 7), RecipePair("hide", "b", "b", 5)],
            Outcome.NO_RULE,
            "same recipe: what differs is data only, newer by 7 days",
        ),
        (
            [RecipePair("click", "new", "a", 7), RecipePair("hide", "b", "b", 7)],
            Outcome.WARN,
            f"{UNCOMPARED}: click (rows newer by 7 days)",
        ),
        (
            [RecipePair("click", "new", "a", 0)],
            Outcome.NO_RULE,
            f"{UNCOMPARED}: click (rows newer by 0 days)",
        ),
        (
            [RecipePair("click", "new", None, 7)],
            Outcome.NO_RULE,
            "an earlier program kept no recipe of click; rows newer by 7 days",
        ),
        ([RecipePair("return", None, None, 0)], Outcome.NO_RULE, "same recipe and equally new rows"),
        ([], Outcome.NO_RULE, "no task in common with the champion"),
        (None, Outcome.NO_RULE, "no champion to compare with"),
    ],
    ids=[
        "the same recipe differs by data only",
        "another recipe on newer rows",
        "another recipe on rows that are no newer earned its gain",
        "a recipe that nobody kept is unknown and not the same",
        "a model that both serve has one recipe even where nobody kept it",
        "no common task",
        "no champion",
    ],
)
def test_what_newer_rows_may_explain_of_a_gain_is_told(
    pairs: list[RecipePair] | None, outcome: Outcome, reason: str
) -> None:
    verdict = evaluate_same_day(pairs, run="r")
    assert (verdict.outcome, verdict.reason, verdict.evidence) == (outcome, reason, "r")
    newer = verdict.observed and verdict.observed.value
    assert newer == (max(pair.newer_by for pair in pairs) if pairs else None)


def _compared(
    drop: Estimate | None = EQUAL, rise: Estimate = EQUAL, *, pooled: Estimate = EQUAL, newer: int = 7
) -> RecipePair:
    found = ChampionComparison(
        task="click", auc_drop=pooled, normalized_entropy_rise=rise, auc_by_request_drop=drop
    )
    return RecipePair("click", "new", "old", newer, SameDay(found, "", "same-day run"))


def judged_recipes(*pairs: RecipePair) -> dict[str, Verdict]:
    return {str(verdict.subject): verdict for verdict in evaluate_recipes(ModelGate(), pairs)}


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
    error = judged_recipes(_compared(rise=loss))["click.normalized_entropy_rise vs the champion's recipe"]
    assert (error.outcome, error.threshold, error.observed) == (outcome, bound("<= 0.01"), loss)
    assert error.evidence == "same-day run"
    order = judged_recipes(_compared(loss, pooled=loss))
    (drop,) = (verdict for name, verdict in order.items() if "auc" in name)
    assert (drop.outcome, drop.threshold) == (outcome, bound("<= 0.005"))


def _segment(name: Segment, drop: Estimate, rise: Estimate = EQUAL) -> SegmentComparison:
    return SegmentComparison(segment=name, auc_by_request_drop=drop, normalized_entropy_rise=rise)


def _with_segments(*segments: SegmentComparison, task: str = "click") -> RecipePair:
    pair = _compared()
    assert pair.compared is not None
    found = pair.compared.model_copy(update={"segments": segments, "task": task})
    return replace(pair, same_day=SameDay(found, "", "same-day run"))


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
        for one in evaluate_recipes(ModelGate(), [pair])
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
    return [one for one in evaluate_recipes(ModelGate(), [pair, *others]) if one.subject == subject(name)]


def test_a_compared_recipe_is_named_by_the_row_and_newer_rows_are_no_doubt_about_it() -> None:
    row = evaluate_same_day([_compared(), RecipePair("hide", "b", "b", 7)], run="r")
    assert row.outcome is Outcome.NO_RULE
    assert row.reason == "another recipe than the champion's, compared with it as of the same day: click"


def test_what_was_not_compared_warns_and_says_why_beside_what_was() -> None:
    hide = RecipePair("hide", "new", "old", 7, SameDay(None, "the log no longer has price", "run"))
    row = evaluate_same_day([_compared(), hide], run="r")
    assert row.outcome is Outcome.WARN
    assert row.reason.endswith("hide (rows newer by 7 days; not compared: the log no longer has price)")
    assert ": click; another" in row.reason
    assert list(judged_recipes(hide)) == []


def test_the_same_recipe_and_no_champion_are_judged_by_no_bound() -> None:
    assert judged_recipes(RecipePair("click", "a", "a", 7)) == {}
    assert list(evaluate_recipes(ModelGate(), None)) == []
