"""Gains over the champion: a head that predicts too much better is taken to know its outcome."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tasks.evaluation.evidence import HeadInputs
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.references import HeadReferences, RankReference
from tasks.evaluation.replay_evidence import ChampionComparison, SegmentComparison
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict
from tasks.promotion.gates.gains import Gains, judge_gains
from tasks.promotion.gates.same_day import RecipePair, SameDay, TaskRecipe
from tests.evaluation.task_figures import task_figures
from tests.verdicts import subject

DAY = date(2026, 5, 1)
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
    ours, theirs = TaskRecipe("buy", "new", DAY), TaskRecipe("buy", "old", DAY)
    return RecipePair(ours, theirs, SameDay(same_day, "", "same-day run"), added)


def judged(
    against: ChampionComparison | None, gains: Gains = COUNTED, of: TaskFigures | None = None
) -> dict[tuple[str, Segment], Verdict]:
    comparisons = None if against is None else [against]
    found = judge_gains([of or task()], comparisons, gains, run="simulation")
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
    assert not judged(None, replace(COUNTED, inputs={"buy": replace_gain(0.6)}))


def replace_gain(share: float) -> HeadInputs:
    return HeadInputs(task="buy", gains={"coupon": share, "price": 1 - share})


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
