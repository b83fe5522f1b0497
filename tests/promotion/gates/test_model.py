"""The model gate: what an order loses inside requests, in which segment, and against which floor."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm, t

from tasks.contracts.gates import ModelGate
from tasks.contracts.training import HeadKind
from tasks.evaluation.evidence import ChampionComparison, SegmentComparison
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict
from tasks.promotion.gates.model import LEVEL, SegmentLoss, evaluate_losses, evaluate_models, loss_p_value
from tests.evaluation.task_figures import task_figures

NOTHING = Estimate(0.0, -0.001, 0.001, 900)
LOST = Estimate(0.14, 0.12, 0.16, 900)
AUC = Estimate(0.80, 0.78, 0.82, 900)


def task(kind: HeadKind = "binary", **figures: Estimate) -> TaskFigures:
    return task_figures({(metric, ALL): estimate for metric, estimate in figures.items()}, kind=kind)


def comparison(**changes: object) -> ChampionComparison:
    equal = ChampionComparison(
        task="click", auc_drop=NOTHING, normalized_entropy_rise=NOTHING, auc_by_request_drop=NOTHING
    )
    return equal.model_copy(update=changes)


def segment(name: Segment, drop: Estimate | None, rise: Estimate = NOTHING) -> SegmentComparison:
    return SegmentComparison(segment=name, auc_by_request_drop=drop, normalized_entropy_rise=rise)


def judged(
    comparisons: Sequence[ChampionComparison] | None, of: TaskFigures | None = None
) -> dict[str, Verdict]:
    found = evaluate_models(ModelGate(), [of or task(auc=AUC)], comparisons, run="run-1", simulation="run-2")
    return {verdict.of: verdict for verdict in found}


def test_an_order_lost_inside_requests_blocks_though_the_pooled_auc_rose() -> None:
    rose = Estimate(-0.01, -0.012, -0.008, 900)
    verdicts = judged([comparison(auc_by_request_drop=LOST, auc_drop=rose)])
    order = verdicts["click.auc_by_request_drop"]
    assert order.outcome is Outcome.BLOCK
    assert "pooled AUC fell by -0.01 [-0.012, -0.008]" in order.reason
    assert "click.auc_drop" not in verdicts


def test_a_pooled_auc_that_falls_is_shown_and_holds_nothing() -> None:
    verdicts = judged([comparison(auc_drop=LOST)])
    assert {verdict.outcome for verdict in verdicts.values()} == {Outcome.PASS}
    assert "pooled AUC fell by 0.14" in verdicts["click.auc_by_request_drop"].reason


@pytest.mark.parametrize(
    "inside", [None, UNKNOWN_ESTIMATE], ids=["request-level", "too few pairs inside requests"]
)
def test_without_pairs_inside_requests_the_pooled_auc_is_judged(inside: Estimate | None) -> None:
    verdicts = judged([comparison(auc_by_request_drop=inside, auc_drop=LOST)])
    assert verdicts["click.auc_drop"].outcome is Outcome.BLOCK
    assert ("too few pairs" in verdicts["click.auc_drop"].reason) == (inside is not None)


def test_a_harmed_segment_blocks_by_name_though_the_whole_passes() -> None:
    segments = (
        segment(Segment("tenure", "new"), LOST),
        *(segment(Segment("region", str(i)), NOTHING) for i in range(8)),
    )
    verdicts = judged([comparison(segments=segments)])
    assert verdicts["click.auc_by_request_drop at tenure=new"].outcome is Outcome.BLOCK
    assert [v.outcome for of, v in verdicts.items() if "region" in of] == []
    assert verdicts["click.auc_by_request_drop"].outcome is Outcome.PASS


def test_a_segment_that_predicts_worse_blocks_too() -> None:
    verdicts = judged([comparison(segments=(segment(Segment("tenure", "new"), NOTHING, rise=LOST),))])
    assert verdicts["click.normalized_entropy_rise at tenure=new"].outcome is Outcome.BLOCK


def test_chance_in_one_of_many_segments_blocks_nothing() -> None:
    """A drop whose own interval lies above the bound (p .02), one of thirty."""
    odd = Estimate(0.0255, 0.0055, 0.0455, 90)
    alone = judged([comparison(segments=(segment(Segment("region", "1"), odd, UNKNOWN_ESTIMATE),))])
    assert alone["click.auc_by_request_drop at region=1"].outcome is Outcome.BLOCK
    fine = [
        segment(Segment("region", str(i)), Estimate(0.0, -0.02, 0.02, 90), UNKNOWN_ESTIMATE)
        for i in range(2, 31)
    ]
    among = judged([comparison(segments=(segment(Segment("region", "1"), odd, UNKNOWN_ESTIMATE), *fine))])
    assert among["click.auc_by_request_drop at region=1"].outcome is Outcome.PASS


def test_segments_that_pass_are_one_line_that_names_the_worst() -> None:
    worst = Estimate(0.01, -0.03, 0.05, 90)
    segments = (
        segment(Segment("tenure", "new"), worst),
        segment(Segment("tenure", "old"), NOTHING),
        segment(Segment("tenure", "unknown"), UNKNOWN_ESTIMATE, UNKNOWN_ESTIMATE),
    )
    verdicts = judged([comparison(segments=segments)])
    assert len(verdicts) == 3, "the order, the probability, and one line for the segments"
    line = verdicts["click.auc_by_request_drop at tenure=new"]
    assert line.outcome is Outcome.PASS, "a segment that is inconclusive holds nothing"
    assert line.reason.startswith("the worst of 2 segments: none is shown to lose; p ")
    assert line.reason.endswith("; 1 more inconclusive")


def test_where_no_segment_can_be_told_that_is_a_warning_and_no_pass() -> None:
    unknown = segment(Segment("tenure", "new"), None, UNKNOWN_ESTIMATE)
    assert judged([comparison(segments=(unknown,))])["click.segments"].outcome is Outcome.WARN
    assert "click.segments" not in judged([comparison()])


def test_a_first_release_must_reach_the_floor_inside_requests() -> None:
    chance = Estimate(0.50, 0.48, 0.52, 900)
    verdict = judged(None, task(auc=AUC, auc_by_request=chance))["click.auc_by_request"]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason == "no champion to compare with; pooled AUC 0.8 [0.78, 0.82]"


def test_a_first_request_level_head_must_reach_it_over_all_rows() -> None:
    assert judged(None)["click.auc"].outcome is Outcome.PASS
    assert judged(None, task(auc=AUC, auc_by_request=UNKNOWN_ESTIMATE))["click.auc"].outcome is Outcome.PASS


def test_a_task_that_the_champion_does_not_know_is_held_against_the_floor() -> None:
    new = task(auc=AUC).model_copy(update={"task": "share"})
    verdicts = list(evaluate_models(ModelGate(), [new], [comparison()], run="run-1", simulation="run-2"))
    assert [(str(v.subject), v.reason) for v in verdicts] == [
        ("share.auc", "nothing of the shared test slice to compare with the champion")
    ]


BOUND = 0.005


def loss(segment: Segment, value: float, error: float, users: int = 10_000) -> SegmentLoss:
    half = norm.ppf(0.975) * error
    return SegmentLoss(
        segment, "auc_by_request_drop", Estimate(value, value - half, value + half, users), BOUND
    )


def test_a_p_value_is_that_of_students_law_above_the_bound() -> None:
    new = Segment("new", "true")
    assert loss_p_value(loss(new, 0.03, 0.01)) == pytest.approx(norm.sf(2.5), rel=1e-2)
    assert loss_p_value(loss(new, 0.03, 0.01, users=15)) == pytest.approx(t(14).sf(2.5), rel=1e-5)
    assert loss_p_value(loss(new, BOUND, 0.01)) == pytest.approx(0.5)


def test_an_interval_of_no_width_is_within_the_bound_or_is_not() -> None:
    assert loss_p_value(loss(Segment("new", "true"), 0.0, 0.0)) == 1.0
    assert loss_p_value(loss(Segment("new", "true"), 0.01, 0.0)) == 0.0


def test_what_is_found_alone_is_chance_among_thirty() -> None:
    """One-sided p .02: below .025 alone, .6 among thirty."""
    odd = loss(Segment("region", "7"), BOUND + norm.isf(0.02) * 0.01, 0.01)
    assert [one.lost for one in evaluate_losses([odd])] == [True]
    fine = [loss(Segment("region", str(i)), 0.0, 0.01) for i in range(8, 37)]
    assert not any(one.lost for one in evaluate_losses([odd, *fine]))


def test_a_segment_that_truly_loses_is_named_among_many() -> None:
    fine = [loss(Segment("region", str(i)), 0.0, 0.01) for i in range(30)]
    worst, *others = evaluate_losses([*fine, loss(Segment("tenure", "new"), 0.1, 0.02)])
    assert (worst.of.segment, worst.lost) == (Segment("tenure", "new"), True)
    assert not any(one.lost for one in others)


def test_a_dozen_events_make_no_segment_lost_among_four_hundred() -> None:
    """4.2 standard errors: by the normal law p is 1.3e-5, which times 400 is below the level of one of five."""
    fine = [loss(Segment("creator", f"c{i}"), 0.0, 0.01) for i in range(399)]
    few, many = (loss(Segment("creator", "c106"), BOUND + 0.042, 0.01, users) for users in (15, 10_000))
    assert [evaluate_losses([*fine, one], level=LEVEL / 4)[0].lost for one in (few, many)] == [False, True]


def test_with_more_tasks_each_is_judged_more_strictly() -> None:
    odd = loss(Segment("region", "7"), BOUND + norm.isf(0.01) * 0.01, 0.01)
    assert [one.lost for one in evaluate_losses([odd])] == [True]
    assert [one.lost for one in evaluate_losses([odd], level=LEVEL / 9)] == [False]


def test_what_cannot_be_told_is_no_member_of_the_family() -> None:
    unknown = SegmentLoss(Segment("region", "9"), "auc_by_request_drop", UNKNOWN_ESTIMATE, BOUND)
    assert evaluate_losses([unknown]) == []
    assert len(evaluate_losses([unknown, loss(Segment("region", "1"), 0.0, 0.01)])) == 1


@pytest.mark.parametrize("shared", [0.0, 0.7], ids=["independent", "overlapping"])
def test_of_equal_releases_at_most_the_declared_share_has_a_segment_that_loses(shared: float) -> None:
    """At the bound, the worst of the null, with thirty segments: uncorrected more than 30 % would have one."""
    rng = np.random.default_rng(1)
    held = uncorrected = 0
    releases = 1000
    for _ in range(releases):
        z = np.sqrt(shared) * rng.normal() + np.sqrt(1 - shared) * rng.normal(size=30)
        judged = evaluate_losses([loss(Segment("s", str(i)), BOUND + 0.01 * z[i], 0.01) for i in range(30)])
        held += any(one.lost for one in judged)
        uncorrected += any(one.p_value <= LEVEL for one in judged)
    assert held / releases <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / releases)
    assert uncorrected / releases > (0.4 if shared == 0 else 0.1)
