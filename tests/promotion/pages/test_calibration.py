"""What the dossier shows of calibration: ratios beside the band, tasks with their segments, terms of the utility."""

import math
from collections.abc import Sequence

from tasks.contracts.training import HeadKind
from tasks.evaluation.evidence import Sensitivity
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.pages.calibration import draw_errors, draw_ratios, order_terms, task_calibrations
from tasks.release.sensitivity import error_bar
from tests.evaluation.task_figures import task_figures
from tests.verdicts import bound, subject

NAN = Estimate(math.nan, math.nan, math.nan, 0)


def nine_rows(seen: Sequence[float]) -> Estimate:
    value, low, high = seen
    return Estimate(value, low, high, 9)


def ratio(outcome: Outcome, *seen: float, segment: Segment = ALL) -> Verdict:
    return Verdict(
        "calibration",
        subject("click.calibration_ratio"),
        segment,
        outcome,
        bound("0.8 to 1.25"),
        nine_rows(seen),
    )


def term(task: str, share: float, *error: float) -> Sensitivity:
    of = nine_rows(error) if error else NAN
    return Sensitivity(task, -2.0, None, 0.1, NAN, Estimate(1.1, 1.0, 1.2, 9), 1.0, of, share)


def task(kind: HeadKind = "binary") -> TaskFigures:
    figures = {
        ("calibration_ratio", ALL): Estimate(1.0, 0.9, 1.1, 9),
        ("smooth_ece", ALL): Estimate(0.01, math.nan, math.nan, 9),
    }
    return task_figures(figures, kind=kind, size=(500, 90), counts={Segment("source", "ads"): (120, 30)})


def test_ratios_lie_on_a_log_scale_that_ends_at_a_half_and_at_two() -> None:
    chart = draw_ratios(
        [ratio(Outcome.PASS, 1.0, 0.5, 2.0), ratio(Outcome.BLOCK, 0.0, 0.0, 8.0, segment=Segment("s", "a"))]
    )
    assert chart is not None
    assert [(m.low, m.value, m.high) for m in chart.marks] == [(4, 50, 96), (4, 4, 96)]
    assert [(m.name, m.tone) for m in chart.marks] == [("click", "pass"), ("click s=a", "block")]
    assert chart.band == (35.19, 64.81)  # 50 -+ 46 log2(1.25)


def test_a_ratio_that_nobody_can_tell_is_not_drawn() -> None:
    assert draw_ratios([ratio(Outcome.INCONCLUSIVE, 1.0, math.nan, 2.0)]) is None


def test_heads_that_claim_no_mean_have_no_calibration() -> None:
    assert task_calibrations([task("quantile"), task("ranking")], {}, []) == []


def test_a_task_shows_its_ratio_its_errors_without_an_interval_and_its_segments() -> None:
    [one] = task_calibrations([task()], {}, [ratio(Outcome.WARN, 1.0, 0.9, 1.1)])
    assert (one.ratio, one.slots) == ("1 [0.9, 1.1]", "inconclusive")
    assert one.errors == ["0.01", "", "", "", ""]
    assert one.columns == ["calibration_ratio"]
    assert [(s.segment, s.figures, s.verdict) for s in one.segments] == [
        (ALL, ["1 [0.9, 1.1]"], "warn"),
        (Segment("source", "ads"), [""], "not gated"),
    ]


def test_terms_that_move_the_order_most_come_first_and_those_that_nobody_can_tell_last() -> None:
    terms = [
        term("small", 0.1, 0.0, -0.5, 0.5),
        term("unknown", math.nan),
        term("large", 0.4, 1.0, -1.0, 2.0),
    ]
    ordered = order_terms(terms)
    assert [one.task for one in ordered] == ["large", "small", "unknown"]
    assert error_bar(ordered) == math.hypot(0.5, 2.0)
    chart = draw_errors(ordered)
    assert chart is not None
    assert [(m.name, m.low, m.high) for m in chart.marks] == [
        ("large", 27, 96),
        ("small", 38.5, 61.5),
    ]
    assert [words for _, words in chart.ticks] == ["-2", "0", "+2"]


def test_without_a_term_there_is_nothing_to_say() -> None:
    assert draw_errors([]) is None
