"""Whatever is done to the rows of an audit, the chain finds it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.stores.audit_chain import broken_rows, seal_of, seals_of
from tasks.stores.audit_row import Entry, Kind

Row = dict[str, Any]
BEGAN = datetime(2026, 7, 6, tzinfo=UTC)
FIELDS = [
    name for name in asdict(Entry(Kind.PROMOTE, "ana", 1, None, "why")) if name not in {"seal", "signature"}
]


def rows_of(count: int, *, unsealed: int = 0) -> list[Row]:
    """Return rows as they are read, the first of them of a program that sealed nothing."""
    rows: list[Row] = []
    for number in range(count):
        kind = (Kind.APPROVE, Kind.PROMOTE, Kind.ROLLBACK)[number % 3]
        entry = Entry(kind, "ana", number, number or None, f"why {number}", f"{number:064}", number=number)
        rows.append(asdict(entry) | {"at": BEGAN + timedelta(hours=number), "sha256": f"{number:064}"})
        rows[-1]["seal"] = None if number < unsealed else seals_of(rows)[-1]
    return rows


def other_than(value: Any) -> Any:
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return value + 1 if isinstance(value, int) else f"{value} too"


@given(st.integers(0, 12), st.integers(0, 12))
def test_rows_as_they_were_written_hold_whichever_program_wrote_the_first(count: int, unsealed: int) -> None:
    assert broken_rows(rows_of(count, unsealed=unsealed)) == {}


@given(st.data())
def test_a_changed_field_of_any_row_is_found(data: st.DataObject) -> None:
    rows = rows_of(8, unsealed=data.draw(st.integers(0, 7)))
    row, field = data.draw(st.sampled_from(rows)), data.draw(st.sampled_from(FIELDS))
    row[field] = other_than(row[field])
    assert broken_rows(rows)


@given(st.data())
def test_a_forgotten_field_of_any_row_is_found(data: st.DataObject) -> None:
    rows = rows_of(8, unsealed=data.draw(st.integers(0, 7)))
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.sampled_from([name for name in FIELDS if row[name] is not None]))] = None
    assert broken_rows(rows)


@given(st.data())
def test_a_removed_doubled_or_moved_row_is_found(data: st.DataObject) -> None:
    rows = rows_of(8)
    place, other = data.draw(st.lists(st.integers(0, 6), min_size=2, max_size=2, unique=True))
    done = data.draw(st.sampled_from(["removed", "doubled", "moved"]))
    if done == "removed":
        del rows[place]
    elif done == "doubled":
        rows.insert(other, rows[place])
    else:
        rows[place], rows[other] = rows[other], rows[place]
    assert broken_rows(rows)


@given(st.data())
def test_rows_that_were_numbered_anew_after_a_removal_are_found(data: st.DataObject) -> None:
    rows = rows_of(8)
    del rows[data.draw(st.integers(0, 6))]
    assert broken_rows([row | {"number": number} for number, row in enumerate(rows)])


def test_a_seal_that_was_taken_off_is_found_where_one_stands_before_it() -> None:
    rows = rows_of(3)
    rows[1]["seal"] = None
    assert broken_rows(rows) == {1: "row 1 carries no seal, and a row before it does"}


@pytest.mark.parametrize("unsealed", [0, 2])
def test_a_break_is_named_where_it_is_found(unsealed: int) -> None:
    rows = rows_of(4, unsealed=unsealed)
    rows[1]["by"] = "max"
    place = max(unsealed, 1)
    assert broken_rows(rows) == {place: f"row {place}, or a row before it, is not what was written"}


def test_a_column_that_a_later_program_adds_leaves_older_seals_as_they_are() -> None:
    rows: Sequence[Row] = [row | {"a later column": None} for row in rows_of(3)]
    assert broken_rows(rows) == {}
    assert seal_of(rows[0], after="") == rows[0]["seal"]
