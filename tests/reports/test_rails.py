"""Guardrails are drawn on the scale of their own bound, better to the right."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.reports.rails import BASELINE_AT, BOUND_AT, badness, draw_rails
from tests.reports.vocabularies import WORDS, rail, verdict

SEEN = Estimate(0.05, -0.05, 0.2, 900)


def test_no_change_stands_at_the_baseline_and_the_bound_at_the_bound() -> None:
    assert (BASELINE_AT, BOUND_AT) == (75.0, 50.0)
    for allowed, at_bound in ((Threshold(high=0.1), 0.1), (Threshold(low=-0.1), -0.1)):
        (drawn,) = draw_rails(
            [rail("hide_rate", Outcome.PASS, at_bound, 0.0, at_bound, allowed=allowed)], WORDS
        )
        assert drawn.value == BOUND_AT
        assert (drawn.low, drawn.high) == (BOUND_AT, BASELINE_AT)


def test_an_interval_that_leaves_the_picture_is_cut_and_says_so() -> None:
    (drawn,) = draw_rails(
        [rail("hide_rate", Outcome.BLOCK, 0.2, -0.9, 0.9, allowed=Threshold(high=0.1))], WORDS
    )
    assert (drawn.low, drawn.value, drawn.high, drawn.beyond) == (0.0, 25.0, 100.0, True)


def test_a_bound_of_nothing_is_drawn_on_the_scale_of_its_interval() -> None:
    (drawn,) = draw_rails(
        [rail("hide_rate", Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=Threshold(low=0.0))], WORDS
    )
    assert (drawn.low, drawn.value, drawn.high) == (25.0, BOUND_AT, 75.0)


def test_no_change_is_drawn_where_it_lies_and_of_a_level_nowhere() -> None:
    def baseline(allowed: Threshold, *, relative: bool = True) -> float | None:
        row = rail("hide_rate", Outcome.PASS, 0.05, 0.02, 0.08, allowed=allowed, relative=relative)
        (drawn,) = draw_rails([row], WORDS)
        if relative:
            (same,) = draw_rails([rail("hide_rate", Outcome.PASS, 0, -1, 0.08, allowed=allowed)], WORDS)
            assert same.value == same.baseline, "a figure without change stands on it"
        return drawn.baseline

    assert baseline(Threshold(high=0.1)) == baseline(Threshold(low=-0.1)) == BASELINE_AT
    assert baseline(Threshold(low=0.0)) == baseline(Threshold(high=0.0)) == BOUND_AT, (
        "what may not fall at all"
    )
    assert baseline(Threshold(low=0.1)) == 25.0, "no change is worse than the rise that is asked for"
    assert baseline(Threshold(high=0.1), relative=False) is None


def test_what_is_allowed_of_a_change_has_three_digits_and_a_direction() -> None:
    def allowed(bounds: Threshold) -> str:
        (drawn,) = draw_rails([rail("hide_rate", Outcome.PASS, 0.0, 0.0, 0.0, allowed=bounds)], WORDS)
        return drawn.limit

    bounds = (
        Threshold(high=2.0),
        Threshold(low=-0.6),
        Threshold(low=0.0),
        Threshold(high=0.0),
        Threshold(low=0.05),
    )
    assert [allowed(each) for each in bounds] == [
        "limit +200 %",
        "limit -60 %",
        "limit 0 %",
        "limit 0 %",
        "limit +5 %",
    ]
    assert allowed(Threshold(high=-0.1)) == "limit -10 %"


def test_a_bound_on_a_change_against_an_anchor_names_it() -> None:
    anchored = replace(
        rail("hide_rate", Outcome.PASS, 0, 0, 0, allowed=Threshold(high=0.1)), against="release 1"
    )
    assert draw_rails([anchored], WORDS)[0].limit == "limit +10 % vs release 1"


def test_a_rise_that_is_asked_for_is_bad_where_it_lacks() -> None:
    asked = Threshold(low=0.1)
    assert badness(0.1, asked, SEEN) == 1
    assert badness(0.0, asked, SEEN) == 2
    assert badness(0.2, asked, SEEN) == 0


def test_without_an_interval_there_is_a_mark_and_without_a_figure_nothing() -> None:
    (point,) = draw_rails(
        [rail("hide_rate", Outcome.PASS, 0.05, math.nan, math.nan, allowed=Threshold(high=0.1))], WORDS
    )
    assert (point.value, point.low, point.high) == (62.5, None, None)
    assert point.observed == "+5.0 %, no interval"
    untold = rail("hide_rate", Outcome.INCONCLUSIVE, 0.05, 0.0, 0.09, allowed=Threshold(high=0.1))
    reason = "not measurable offline (18 events)"
    assert draw_rails([replace(untold, reason=reason)], WORDS)[0].why == reason
    assert draw_rails([replace(untold, reason=reason, outcome=Outcome.PASS)], WORDS)[0].why == ""
    (missing,) = draw_rails([verdict("decision", "hide_rate", Outcome.METRIC_MISSING)], WORDS)
    assert (missing.value, missing.observed) == (None, "")


def test_a_level_and_its_bound_have_one_unit() -> None:
    most, least = Threshold(high=0.05), Threshold(low=0.1)
    rows = [
        rail("hide_predicted", Outcome.PASS, 0.00412, math.nan, math.nan, allowed=most, relative=False),
        rail("hide_rate", Outcome.PASS, 0.00412, 0.003, 0.005, allowed=most, relative=False),
        rail("coverage", Outcome.PASS, 0.3, 0.3, 0.3, allowed=least, relative=False),
        rail("source_entropy", Outcome.PASS, 1.25, 1.2, 1.3, allowed=Threshold(low=1.0), relative=False),
    ]
    assert [(one.observed, one.limit) for one in draw_rails(rows, WORDS)] == [
        ("0.412 %, no interval", "at most 5 %"),
        ("0.412 % (0.3 to 0.5 %)", "at most 5 %"),
        ("30 %", "at least 10 %"),
        ("1.25 (1.2 to 1.3)", "at least 1"),
    ]


def test_bounds_of_the_decision_on_the_whole_are_drawn_the_worst_first() -> None:
    rise = Threshold(high=0.1)
    rows = [
        rail("hide_rate", Outcome.PASS, 0.0, 0.0, 0.0, allowed=rise),
        rail("observed_utility", Outcome.PASS, 0.0, 0.0, 0.0, allowed=rise),
        rail("hide_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=rise, segment=Segment("tenure", "new")),
        rail("report_rate", Outcome.BLOCK, 0.3, 0.2, 0.4, allowed=rise),
        verdict("model", "click.auc", Outcome.BLOCK, 0.1, 0.1, 0.1),
        verdict("decision", "coverage", Outcome.NO_RULE, threshold=""),
    ]
    assert [one.metric for one in draw_rails(rows, WORDS)] == ["report rate", "observed utility", "hide rate"]


def test_where_nothing_was_judged_a_declared_bound_alone_is_drawn() -> None:
    rows = [
        verdict("decision", "front", Outcome.NO_RULE, threshold="no confirmed point is better"),
        verdict("decision", "hide_rate", Outcome.NO_RULE),
        verdict("decision", "front", Outcome.WARN, threshold="no confirmed point is better"),
    ]
    drawn = [(one.metric, one.outcome) for one in draw_rails(rows, WORDS)]
    assert drawn == [("weights compared with the Pareto front", "warn"), ("hide rate", "no_rule")]


@given(
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.sampled_from(
        [
            Threshold(high=0.1),
            Threshold(low=-0.2),
            Threshold(high=0.0),
            Threshold(low=0.0),
            Threshold(low=0.3),
        ]
    ),
)
def test_what_is_worse_never_lies_further_left(one: float, other: float, allowed: Threshold) -> None:
    worse, better = (max, min) if math.isfinite(allowed.high) else (min, max)
    assert badness(worse(one, other), allowed, SEEN) >= badness(better(one, other), allowed, SEEN)


def test_what_the_baseline_has_none_of_rose_from_nothing() -> None:
    broken = rail("report_rate", Outcome.BLOCK, math.nan, math.nan, math.nan, allowed=Threshold(high=0.1))
    missing = replace(broken, outcome=Outcome.METRIC_MISSING, reason="no log")
    drawn = draw_rails([broken, missing], WORDS)
    assert [(one.observed, one.value, one.why) for one in drawn] == [
        ("above a baseline of 0", None, ""),
        ("", None, "no log"),
    ]
