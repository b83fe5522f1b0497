"""Axes name few, round values, at the places where they lie."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given

from tasks.evaluation.subjects import Segment, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome
from tasks.reports.charts import (
    BASELINE_AT,
    BOUND_AT,
    Rail,
    Scale,
    badness,
    draw_intervals,
    draw_rails,
    outline_steps,
)
from tasks.reports.numbers import format_estimate
from tests.reports.vocabularies import WORDS, rail, verdict

ENDS = st.tuples(st.floats(1e-9, 1e9), st.floats(1.001, 1e6)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@given(ENDS, st.booleans(), st.floats(20, 190))
@example((124.0, 42105440.0), False, 190.0)
def test_named_values_lie_where_they_say_and_not_too_close(
    ends: tuple[float, float], logarithmic: bool, apart: float
) -> None:
    low, high = ends
    scale = Scale(low, high, 10.0, 410.0, logarithmic)
    ticks = scale.ticks(apart)
    assert ticks
    places = [tick.at for tick in ticks]
    values = [float(tick.words.replace(",", "")) for tick in ticks]
    assert np.allclose(scale.place(values), places, atol=0.2)
    if not logarithmic or low > 1e-8:
        assert places == sorted(places)
    if not logarithmic:
        assert np.all(np.diff(places) >= apart - 0.2)
    slack = 1e-6 * (high - low)
    assert all(low - slack <= value <= high + slack for value in values)


def test_of_a_logarithmic_axis_as_much_is_named_as_there_is_room_for() -> None:
    scale = Scale(0.001, 0.1, 0.0, 200.0, logarithmic=True)
    named = {apart: " ".join(tick.words for tick in scale.ticks(apart)) for apart in (30, 40, 90)}
    assert named == {
        30: "0.001 0.002 0.005 0.01 0.02 0.05 0.1",
        40: "0.001 0.003 0.01 0.03 0.1",
        90: "0.001 0.01 0.1",
    }


def test_an_axis_that_points_up_has_its_greatest_value_at_the_top() -> None:
    assert [tick.at for tick in Scale(0.0, 1.0, 300.0, 20.0).ticks(140)] == [300.0, 160.0, 20.0]


def test_no_zero_has_a_sign() -> None:
    assert Scale(0.0, 0.9, 0.0, 100.0).ticks(20)[0].words == "0"


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_what_no_logarithm_has_lies_at_the_lower_end(value: float) -> None:
    assert Scale(0.01, 1.0, 5.0, 105.0, logarithmic=True).place([value]).tolist() == [5.0]


def test_a_logarithmic_axis_within_one_decade_names_values_all_the_same() -> None:
    ticks = Scale(0.021, 0.029, 0.0, 100.0, logarithmic=True).ticks(20)
    assert " ".join(tick.words for tick in ticks) == "0.022 0.024 0.026 0.028"


def test_a_decade_is_as_wide_as_the_next() -> None:
    tenth, one, ten = Scale(0.1, 10.0, 0.0, 90.0, logarithmic=True).place([0.1, 1.0, 10.0])
    assert math.isclose(one - tenth, ten - one)


def test_a_histogram_stands_on_its_base() -> None:
    assert outline_steps([3.0], [1.0, 2.0], base=7.0) == "M1,7V3H2V7Z"


def test_a_row_is_placed_by_the_scale_from_left_to_right() -> None:
    rows = [("a", "pass", Estimate(0.0, -1.0, 1.0, 9)), ("b", "warn", Estimate(0.2, 0.1, 0.5, 9))]
    chart = draw_intervals(rows, lambda x: x, ticks=[(-1, "-1"), (1, "+1")], band=(-0.1, 0.1))
    assert chart is not None
    first, second = chart.marks
    assert (first.low, first.value, first.high) == (4.0, 50.0, 96.0)
    assert (second.name, second.tone, second.words) == ("b", "warn", format_estimate(rows[1][2]))
    assert chart.ticks == [(4.0, "-1"), (96.0, "+1")]
    assert chart.band == (45.4, 54.6)


def test_without_a_row_there_is_no_chart() -> None:
    assert draw_intervals([], lambda x: x, ticks=[], band=(0, 0)) is None


SEEN = Estimate(0.05, -0.05, 0.2, 900)


def drawn_rail(outcome: Outcome, *seen: float, allowed: Threshold) -> Rail:
    """Draw a single limit on the change of a rate."""
    (drawn,) = draw_rails([rail("hide_rate", outcome, *seen, allowed=allowed)], WORDS)
    return drawn


def test_no_change_stands_at_the_baseline_and_the_bound_at_the_bound() -> None:
    assert (BASELINE_AT, BOUND_AT) == (75.0, 50.0)
    for allowed, at_bound in ((Threshold(high=0.1), 0.1), (Threshold(low=-0.1), -0.1)):
        drawn = drawn_rail(Outcome.PASS, at_bound, 0.0, at_bound, allowed=allowed)
        assert drawn.value == BOUND_AT
        assert (drawn.low, drawn.high) == (BOUND_AT, BASELINE_AT)


def test_an_interval_that_leaves_the_picture_is_cut_and_says_so() -> None:
    drawn = drawn_rail(Outcome.BLOCK, 0.2, -0.9, 0.9, allowed=Threshold(high=0.1))
    assert (drawn.low, drawn.value, drawn.high, drawn.beyond) == (0.0, 25.0, 100.0, True)


def test_a_bound_of_nothing_is_drawn_on_the_scale_of_its_interval() -> None:
    drawn = drawn_rail(Outcome.INCONCLUSIVE, 0.0, -0.2, 0.2, allowed=Threshold(low=0.0))
    assert (drawn.low, drawn.value, drawn.high) == (25.0, BOUND_AT, 75.0)


def test_no_change_is_drawn_where_it_lies_and_of_a_level_nowhere() -> None:
    def baseline(allowed: Threshold, *, relative: bool = True) -> float | None:
        row = rail("hide_rate", Outcome.PASS, 0.05, 0.02, 0.08, allowed=allowed, relative=relative)
        (drawn,) = draw_rails([row], WORDS)
        if relative:
            same = drawn_rail(Outcome.PASS, 0, -1, 0.08, allowed=allowed)
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
        return drawn_rail(Outcome.PASS, 0.0, 0.0, 0.0, allowed=bounds).limit

    highs, lows = {2.0: "+200 %", 0.0: "0 %", -0.1: "-10 %"}, {-0.6: "-60 %", 0.0: "0 %", 0.05: "+5 %"}
    assert {end: allowed(Threshold(high=end)) for end in highs} == {x: f"limit {s}" for x, s in highs.items()}
    assert {end: allowed(Threshold(low=end)) for end in lows} == {x: f"limit {s}" for x, s in lows.items()}


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
    point = drawn_rail(Outcome.PASS, 0.05, math.nan, math.nan, allowed=Threshold(high=0.1))
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
    st.builds(Threshold, high=st.sampled_from([0.1, 0.0]))
    | st.builds(Threshold, st.sampled_from([-0.2, 0.0, 0.3])),
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


def test_a_chart_is_a_picture_of_its_own() -> None:
    rows = [("hides", "after", Estimate(0.5, 0.0, 0.5, 9))]
    chart = draw_intervals(rows, lambda x: x, ticks=[(0, "0"), (1, "+100 %")], band=(0, 0))
    assert chart is not None
    svg = chart.to_svg("harm")
    assert '<path class="after" stroke-width="3" d="M400,46H469"/>' in svg
    assert '<circle class="after" cx="469.0" cy="46" r="4"/>' in svg
    assert '<desc id="about">hides 0.5 [0, 0.5].</desc>' in svg
    assert [words for words in ("0", "+100 %", "harm", "hides") if f">{words}</text>" not in svg] == []
