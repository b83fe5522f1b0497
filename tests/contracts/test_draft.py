"""First drafts: whatever the log is like, the four files are valid as a set, or there is a reason."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import check_surface
from tasks.contracts.draft import draft_contracts
from tasks.contracts.gates import BaselineColumn
from tasks.contracts.log_sketch import ColumnSketch, EventSketch, LogSketch
from tasks.errors import DataError
from tasks.training.slices import time_until_known

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
)


def checked(sketch: LogSketch) -> object:
    with TemporaryDirectory() as folder:
        (Path(folder) / "my_feed").mkdir()
        for name, text in draft_contracts("my_feed", sketch, owner="ana").items():
            (Path(folder) / "my_feed" / name).write_text(text, encoding="utf-8")
        found = check_surface(Path(folder), "my_feed")
        assert [str(p) for p in (*found.problems, *found.warnings)] == []
        return found.contracts


@given(sketches)
def test_every_draft_is_valid_or_refused_with_the_reason(sketch: LogSketch) -> None:
    reason = ""
    try:
        assert checked(sketch) is not None
    except DataError as error:
        reason = str(error)
    assert not reason or "could be" in reason or "has no position and no numeric column" in reason


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
    return LogSketch(SOURCES, {}, described, names, days, 100_000, positions, **more)  # type: ignore[arg-type]


def test_what_is_guessed_of_a_shop() -> None:
    texts = draft_contracts("my_feed", sketch(), owner="ana")
    assert "# left out: clicked, which looks like an outcome" in texts["surface.yaml"]
    assert "# left out: title, which has about 9,000 values" in texts["surface.yaml"]
    assert "segments: [source]" in texts["surface.yaml"]
    assert "keep_when: {column: permitted, equals: true}" in texts["utility.yaml"]
    assert "{metric: hide_7d_rate, relative_increase_max: 0.1, action: block}" in texts["utility.yaml"]


def test_without_a_position_a_column_stands_in_for_the_logged_order() -> None:
    contracts = checked(sketch(positions=0))
    assert contracts.surface.gates.decision.first == BaselineColumn(column="popularity")  # type: ignore[attr-defined]


@pytest.mark.parametrize("days", [12, 14, 21, 30, 42, 60, 200])
def test_windows_and_slices_fit_the_days_of_the_log(days: int) -> None:
    contracts = checked(sketch(days))
    surface, tasks = contracts.surface, contracts.tasks  # type: ignore[attr-defined]
    known = max(time_until_known(tasks, task) for task in tasks.tasks)
    split = surface.split
    assert (surface.minimum.train + split.calibrate + split.test + 3 * known).days <= days
