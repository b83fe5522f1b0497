"""The line in a run's note."""

from types import ModuleType

import pytest

from tasks.errors import DataError

LINE = "**Hold** · release 3"


@pytest.fixture
def note(airflow_home: object) -> ModuleType:
    """The module, which imports Airflow."""
    import dags.note

    return dags.note


def test_an_error_of_many_lines_becomes_one_short_line_that_markdown_leaves_alone(note: ModuleType) -> None:
    line = note.in_one_line(DataError("events: `value`\nis *null*\n" + "x" * 1000))
    assert line.startswith("`DataError: events: 'value' is *null* xxx")
    assert line.endswith("…`")
    assert len(line) == 302


def test_the_first_step_that_failed_is_named_and_the_others_counted(note: ModuleType) -> None:
    failed = [("labels", "`DataError: x`"), ("gate", "`GateRefused: y`"), ("propose", "`GateRefused: z`")]
    assert note.compose(["as of noon"], failed) == (
        "**Failed** at labels: `DataError: x` (and 2 more steps) · as of noon"
    )


def test_a_note_of_our_own_gives_way_to_the_next(note: ModuleType) -> None:
    assert note.beside(LINE, "**Failed** at labels: `DataError: x`", by_person=False) == LINE
    assert note.beside(LINE, None, by_person=False) == LINE


def test_what_a_person_wrote_stays_below_through_every_clear(note: ModuleType) -> None:
    first = note.beside("**Failed** at labels", "Before the holidays.", by_person=True)
    assert note.beside(LINE, first, by_person=True) == f"{LINE}\n\n---\n\nBefore the holidays."


def test_no_note_is_longer_than_airflow_keeps(note: ModuleType) -> None:
    assert len(note.beside(LINE, "x" * 1000, by_person=True)) == 1000
