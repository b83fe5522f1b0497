"""The calibration gate reads what can be said of all segments of a release together."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.contracts.gates import CalibrationGate
from tasks.contracts.training import HeadKind
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.gates.calibration import evaluate_ratios
from tests.evaluation.task_figures import estimates_of, task_figures

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
