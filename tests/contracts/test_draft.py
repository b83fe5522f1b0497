"""First drafts: whatever the log is like, the four files are valid as a set, or there is a reason."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import Contracts, check_surface, load_surface, surface_names
from tasks.contracts.draft import TasksDraft, draft_contracts, draft_tasks
from tasks.contracts.gates import BaselineColumn
from tasks.contracts.log_sketch import ColumnSketch, EventSketch, LogSketch
from tasks.errors import DataError
from tasks.training.outlook import foresee_days

SOURCES = {"impressions": "feed/impressions/*.parquet", "events": "feed/events"}
WORDS = ["price", "null", "True", "source", "click", "clicked", "permitted", "violation", "OWNER", "a__b", "served_x",
         "my id", "naïve", "x'y", "click_30m", "session_id", "popularity", "release"]  # fmt: skip
EVENTS = [
    "click",
    "purchase",
    "hide",
    "report",
    "out_of_stock",
    "return",
    "null",
    "a.b:c",
    "open",
    "like",
    "x y",
    "ö",
]
KINDS = ["string", "integer", "number", "boolean", "time with zone", "other type"]
REASONS = ("could be", "has no position and no numeric column", "has no outcome that has a weight")
SURFACES = Path(__file__).parents[2] / "surfaces"
STARTS = {name: load_surface(SURFACES, name) for name in surface_names(SURFACES)}
columns = st.lists(
    st.builds(
        ColumnSketch,
        st.one_of(st.sampled_from(WORDS), st.text(max_size=8)),
        st.sampled_from(KINDS),
        st.integers(0, 5_000),
    ),
    unique_by=lambda column: column.name.lower(),
    max_size=12,
)
events = st.lists(
    st.builds(
        EventSketch,
        st.one_of(st.sampled_from(EVENTS), st.text(max_size=6)),
        st.integers(0, 10_000),
        st.floats(0, 1),
        st.floats(0, 1),
        st.floats(0, 1),
    ),
    unique_by=lambda event: event.name,
    max_size=8,
)
sketches = st.builds(
    LogSketch,
    sources=st.just(SOURCES),
    columns=st.sampled_from([{}, {"shown_at": "ts"}, {"item_id": "article's id: #1"}]),
    described=columns.map(tuple),
    events=events.map(tuple),
    days=st.integers(0, 200),
    rows=st.integers(1, 10**6),
    positions=st.sampled_from([0, 1, 12, 500]),
    has_visible=st.booleans(),
    impression=st.sampled_from(["", "view_id"]),
)


def checked(sketch: LogSketch, start: Contracts | None = None) -> Contracts:
    with TemporaryDirectory() as folder:
        (Path(folder) / "my_feed").mkdir()
        for name, text in draft_contracts("my_feed", sketch, owner="ana", start=start).items():
            (Path(folder) / "my_feed" / name).write_text(text, encoding="utf-8")
        found = check_surface(Path(folder), "my_feed")
        assert [str(p) for p in (*found.problems, *found.warnings)] == []
        assert found.contracts is not None
        return found.contracts


@given(sketches, st.sampled_from([None, *STARTS]))
def test_every_draft_is_valid_or_refused_with_the_reason(sketch: LogSketch, start: str | None) -> None:
    reason = ""
    try:
        checked(sketch, STARTS[start] if start else None)
    except DataError as error:
        reason = str(error)
    assert not reason or any(known in reason for known in REASONS), reason


def sketch(days: int = 60, positions: int = 10, **more: object) -> LogSketch:
    described = (
        ColumnSketch("price", "number", 900),
        ColumnSketch("popularity", "number", 900),
        ColumnSketch("source", "string", 4),
        ColumnSketch("title", "string", 9_000),
        ColumnSketch("clicked", "boolean", 2),
        ColumnSketch("permitted", "boolean", 2),
    )
    names = (EventSketch("click", 5_000), EventSketch("purchase", 900), EventSketch("hide", 400))
    return LogSketch(SOURCES, {}, described, names, days, date(2026, 2, 1), 100_000, positions, **more)  # type: ignore[arg-type]


def test_what_is_guessed_of_a_shop() -> None:
    texts = draft_contracts("my_feed", sketch(), owner="ana")
    assert "# left out: clicked, which looks like an outcome" in texts["surface.yaml"]
    assert "# left out: title, which has about 9,000 values" in texts["surface.yaml"]
    assert "segments: [source]" in texts["surface.yaml"]
    assert "keep_when: {column: permitted, equals: true}" in texts["utility.yaml"]
    assert "{metric: hide_7d_rate, relative_increase_max: 0.1, action: block}" in texts["utility.yaml"]


def test_a_draft_from_another_surface_takes_its_limits_under_the_names_of_the_log() -> None:
    events = (
        EventSketch("tap", 9_000),
        EventSketch("order", 900),
        EventSketch("dismiss", 400),
        EventSketch("love", 8_000),
        EventSketch("complaint", 30),
    )
    logged = {**SOURCES, "candidates": "feed/candidates"}
    own = checked(replace(sketch(), events=events, sources=logged), STARTS["minimal"])
    assert {task: weight.weight for task, weight in own.utility.weights.items()} == {
        "tap_30m": 0.4,
        "order_7d": 20.0,
        "dismiss_7d": -5.0,
    }
    assert [one.metric for one in own.utility.primary] == ["order_7d_rate", "ndcg_tap_30m"]
    rails = {rail.metric: rail.by for rail in own.utility.guardrails}
    whole = ("complaint_7d_rate", "coverage", "latency_p99_ms")
    assert rails == {"dismiss_7d_rate": ("source",), **dict.fromkeys(whole, ())}
    assert own.tasks.measured == ("complaint_7d",)  # too few to train on
    assert own.surface.gates.calibration.by == ("source",)
    assert "share" in own.surface.monitor.critical


def test_a_draft_is_not_made_from_a_surface_whose_weighted_outcomes_the_log_lacks() -> None:
    with pytest.raises(DataError, match="minimal: click_30m, purchase_7d, hide_7d"):
        checked(replace(sketch(), events=(EventSketch("report", 500),)), STARTS["minimal"])


def test_without_a_position_a_column_stands_in_for_the_logged_order() -> None:
    contracts = checked(sketch(positions=0))
    assert contracts.surface.gates.decision.first == BaselineColumn(column="popularity")


@pytest.mark.parametrize("days", [6, 7, 8, 9, 12, 14, 21, 30, 42, 60, 200])
def test_windows_and_slices_fit_the_days_of_the_log(days: int) -> None:
    first = date(2026, 1, 1)
    counts = {first + timedelta(days=n): 1000 for n in range(days)}
    as_of = datetime.combine(first, time(), UTC) + timedelta(days=days)
    assert foresee_days(checked(sketch(days)), as_of, counts).missing == {}


def test_eight_days_are_two_one_and_one_with_windows_of_six_hours() -> None:
    contracts = checked(sketch(days=8))
    split, day = contracts.surface.split, timedelta(days=1)
    assert (split.train, split.calibrate, split.test) == (2 * day, day, day)
    assert list(contracts.tasks.tasks) == ["click_30m", "purchase_6h", "hide_6h"]


def test_a_log_of_forty_days_with_windows_of_a_day_trains_on_four_weeks() -> None:
    short = replace(sketch(days=40), events=(EventSketch("like", 5_000), EventSketch("finish", 900)))
    split, day = checked(short).surface.split, timedelta(days=1)
    assert (split.train, split.calibrate, split.test) == (28 * day, 7 * day, 7 * day)


def drafted(*events: EventSketch) -> TasksDraft:
    return draft_tasks(events, window_days=7)


@pytest.mark.parametrize(
    ("event", "task", "family"),
    [
        ("click", "click_30m", "engagement"),
        ("article:open", "article_open_30m", "engagement"),
        ("Purchase", "purchase_7d", "conversion"),
        ("add_to_cart", "add_to_cart_1d", "conversion"),
        ("like", "like_1d", "satisfaction"),
        ("dislike", "dislike_7d", "negative"),
        ("not_interested", "not_interested_7d", "negative"),
        ("skip_track", "skip_track_7d", "negative"),
        ("report", "report_7d", "safety"),
        ("frobnicate", "frobnicate_1d", "engagement"),
    ],
)
def test_a_meaning_is_guessed_from_the_name(event: str, task: str, family: str) -> None:
    (one,) = drafted(EventSketch(event, 500)).tasks
    assert (one.name, one.family.value, one.event) == (task, family, event)


@pytest.mark.parametrize(
    ("event", "delay", "task"),
    [
        ("click", 0.01, "click_30m"),
        ("click", 0.6, "click_1d"),
        ("like", 2.5, "like_3d"),
        ("like", 30, "like_7d"),
    ],
)
def test_a_window_is_as_long_as_nine_of_ten_events_take(event: str, delay: float, task: str) -> None:
    (one,) = drafted(EventSketch(event, 500, delay=delay)).tasks
    assert one.name == task


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (EventSketch("impression", 500), "was shown"),
        (EventSketch("return", 500), "after:"),
        (EventSketch("visit", 500, with_item=0.1), "names no item"),
        (EventSketch("click", 99), "too few"),
        (EventSketch("click; drop table", 500), "no name"),
    ],
)
def test_what_is_no_outcome_yet_is_left_out_with_the_reason(event: EventSketch, why: str) -> None:
    draft = drafted(event)
    assert draft.tasks == ()
    assert why in draft.left_out[0][1]


def test_events_that_take_a_row_out_are_exclusions() -> None:
    draft = drafted(EventSketch("out_of_stock", 5, with_request=0), EventSketch("ineligible", 5, with_item=0))
    assert draft.exclusions == (("ineligible", "user"), ("out_of_stock", "item"))


def test_names_that_read_alike_become_tasks_of_their_own() -> None:
    names = [task.name for task in drafted(EventSketch("a.click", 300), EventSketch("a-click", 200)).tasks]
    assert len(set(names)) == 2


def test_the_most_frequent_become_tasks() -> None:
    draft = drafted(*(EventSketch(f"click{n}", 1000 - n) for n in range(12)))
    assert [task.event for task in draft.tasks] == [f"click{n}" for n in range(8)]
    assert len(draft.left_out) == 4
