"""The model gate: what an order loses inside requests, in which segment, and against which floor.

The calibration gate reads what can be said of all segments of a release together.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from tasks.contracts.gates import CalibrationGate, ModelGate
from tasks.contracts.training import HeadKind
from tasks.evaluation.evidence import ChampionComparison, SegmentComparison
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import UNKNOWN_ESTIMATE, Estimate, Outcome, Verdict
from tasks.promotion.gates.model import (
    LEVEL,
    SegmentLoss,
    evaluate_losses,
    evaluate_models,
    evaluate_ratios,
    loss_p_value,
)
from tests.evaluation.task_figures import estimates_of, task_figures

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


NAN = float("nan")
HATE = (Estimate(1.82, 1.24, 2.46, 900), 40_000, 26, 26 / 1.82 / 40_000)
"""The head of short_video that healthy segments once promoted."""
GATE = CalibrationGate.model_validate({"ratio": [0.9, 1.1], "by": ["source"]})
WELL = Estimate(1.0, 0.97, 1.03, 5000)
CLICK = task_figures(
    {("calibration_ratio", ALL): WELL, ("mean_prediction", ALL): Estimate(0.1, 0.09, 0.11, 5000)},
    size=(50_000, 5000),
)


def _with(
    task: TaskFigures, segments: dict[Segment, tuple[Estimate, int, int, float]], name: str = "click"
) -> TaskFigures:
    estimates = estimates_of(task)
    counts = {one.segment: (one.rows, one.events) for one in task.figures}
    for segment, (ratio, rows, positives, mean) in segments.items():
        estimates["calibration_ratio", segment] = ratio
        estimates["mean_prediction", segment] = Estimate(mean, mean, mean, rows)
        counts[segment] = (rows, positives)
    return task_figures(estimates, task=name, counts=counts)


def _named(name: str) -> TaskFigures:
    return CLICK.model_copy(update={"task": name})


def _judged(*tasks: TaskFigures, costs: frozenset[str] = frozenset()) -> dict[str, Verdict]:
    return {f"{v.subject}:{v.segment}": v for v in evaluate_ratios(GATE, tasks, costs=costs, run="run-1")}


def test_a_segment_is_calibrated_off_or_cannot_be_told() -> None:
    task = _with(
        CLICK,
        {
            Segment("source", "feed"): (WELL, 9000, 900, 0.1),
            Segment("source", "ads"): (Estimate(1.5, 1.35, 1.65, 900), 6000, 900, 0.1),
            Segment("source", "mail"): (Estimate(1.2, 0.8, 1.7, 20), 250, 30, 0.1),
        },
    )
    judged = _judged(task)
    outcomes = {verdict.segment: verdict.outcome for verdict in judged.values()}
    assert outcomes == {
        ALL: Outcome.PASS,
        Segment("source", "feed"): Outcome.PASS,
        Segment("source", "ads"): Outcome.BLOCK,
        Segment("source", "mail"): Outcome.INCONCLUSIVE,
    }
    said = judged["click.calibration_ratio:source=ads"].reason
    assert said.startswith("predictions are 33.3 % too low; p ")
    assert said.endswith(" adjusted for 4 tests")


def test_what_stands_out_by_chance_in_one_of_many_segments_is_no_block() -> None:
    odd = (Estimate(1.76, 1.25, 2.3, 44), 400, 44, 0.0625)
    alone = _judged(_with(CLICK, {Segment("source", "odd"): odd}))["click.calibration_ratio:source=odd"]
    fine = {Segment("source", str(i)): (WELL, 9000, 900, 0.1) for i in range(60)}
    among = _judged(_with(CLICK, {**fine, Segment("source", "odd"): odd}))[
        "click.calibration_ratio:source=odd"
    ]
    assert alone.outcome is Outcome.BLOCK
    assert among.outcome is Outcome.INCONCLUSIVE
    assert among.reason.startswith("one of so many ratios may be as far out by chance; p ")


def test_the_family_spans_the_tasks_of_the_release() -> None:
    odd = (Estimate(1.76, 1.25, 2.3, 44), 400, 44, 0.0625)
    others = [_named(f"t{i}") for i in range(60)]
    judged = _judged(_with(CLICK, {Segment("source", "odd"): odd}), *others)
    assert judged["click.calibration_ratio:source=odd"].outcome is Outcome.INCONCLUSIVE


@settings(max_examples=60)
@given(
    segments=st.lists(st.floats(0.9, 1.1), max_size=12),
    tasks=st.integers(0, 12),
    of_the_cost=st.booleans(),
)
def test_no_set_of_healthy_segments_promotes_a_bad_cost(
    segments: list[float], tasks: int, *, of_the_cost: bool
) -> None:
    hate = _with(CLICK, {ALL: HATE}, "hate")
    healthy = {
        Segment("source", str(i)): (Estimate(r, r - 0.03, r + 0.03, 900), 9000, 900, 900 / r / 9000)
        for i, r in enumerate(segments)
    }
    more = [_named(f"t{i}") for i in range(tasks)]
    candidate = _with(hate, healthy, "hate") if of_the_cost else hate
    other = CLICK if of_the_cost else _with(CLICK, healthy)
    verdict = _judged(candidate, other, *more, costs=frozenset({"hate"}))["hate.calibration_ratio:all"]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason == "predictions are 45.1 % too low; p 0.0039, a test of this cost alone"


def test_a_cost_that_predicts_too_much_and_its_segments_stay_in_the_family() -> None:
    over = _with(CLICK, {ALL: (Estimate(0.5, 0.3, 0.75, 900), 40_000, 26, 52 / 40_000)}, "hate")
    segment = _with(
        CLICK, {Segment("source", "odd"): (Estimate(1.76, 1.35, 2.2, 44), 400, 44, 0.0625)}, "report"
    )
    costs = frozenset({"hate", "report"})
    few, many = (_judged(over, segment, *[_named(f"t{i}") for i in range(n)], costs=costs) for n in (0, 300))
    for name in ("hate.calibration_ratio:all", "report.calibration_ratio:source=odd"):
        assert few[name].outcome is Outcome.BLOCK
        assert many[name].outcome is Outcome.INCONCLUSIVE


def test_a_handful_of_positives_where_many_were_predicted_is_off() -> None:
    thin = Estimate(0.06, NAN, NAN, 90)
    (verdict,) = [
        v
        for v in _judged(_with(CLICK, {Segment("source", "ads"): (thin, 1000, 3, 0.05)})).values()
        if v.segment != ALL
    ]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.reason.startswith("3 positives where 50 were predicted; p ")


def test_a_count_of_too_few_users_is_not_judged() -> None:
    few = Estimate(0.05, NAN, NAN, 9)
    estimates = {
        ("calibration_ratio", Segment("source", "ads")): few,
        ("mean_prediction", Segment("source", "ads")): few,
    }
    task = task_figures(estimates_of(CLICK) | estimates, counts={Segment("source", "ads"): (1000, 3)})
    judged = _judged(task)
    assert judged["click.calibration_ratio:source=ads"].outcome is Outcome.INCONCLUSIVE


def test_no_positive_at_all_is_off_where_many_were_predicted() -> None:
    unknown = Estimate(NAN, NAN, NAN, 0)
    judged = _judged(
        _with(
            CLICK,
            {
                Segment("source", "ads"): (unknown, 1000, 0, 0.1),
                Segment("source", "tv"): (unknown, 20, 0, 0.1),
            },
        )
    )
    ads, tv = (judged[f"click.calibration_ratio:source={name}"] for name in ("ads", "tv"))
    assert ads.outcome is Outcome.BLOCK
    assert ads.reason.startswith("no positive where 100 were predicted; p ")
    assert tv.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("kind", ["quantile", "ranking"])
def test_a_head_that_claims_no_mean_has_no_calibration(kind: HeadKind) -> None:
    assert _judged(task_figures({("coverage", ALL): WELL}, kind=kind)) == {}


def test_a_value_head_is_judged_by_the_ratio_of_its_means() -> None:
    spend = task_figures(estimates_of(CLICK), task="spend", kind="value")
    assert _judged(spend)["spend.calibration_ratio:all"].outcome is Outcome.PASS
    off = {("calibration_ratio", ALL): Estimate(1.3, 1.2, 1.4, 90)}
    high = task_figures(off, task="spend", kind="value")
    assert _judged(high)["spend.calibration_ratio:all"].outcome is Outcome.BLOCK
