"""An audit keeps each row as it was written, finds what was done to it, and tells who serves and served."""

import unicodedata
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ContractError, StoreError
from tasks.stores import delta
from tasks.stores.audit import (
    SCHEMA,
    Audit,
    Entry,
    Kind,
    broken_entries,
    champions,
    last_alias_move,
    last_move,
    live_ramps,
    on_one_line,
    one_line,
    seals_of,
    since_last_move,
)
from tasks.stores.store import Store

PROMOTED = Entry(
    Kind.PROMOTE, "ana", 1, None, "the first", "e" * 64, waiver="no traffic yet", run="manual__1"
)
APPROVED = Entry(Kind.APPROVE, "sam", 2, 1, "", "f" * 64, role="safety", run="manual__2")


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Store.open(tmp_path).audit("feed")


def test_a_surface_without_moves_has_no_rows(audit: Audit) -> None:
    assert audit.read() == (None, ())
    assert last_move(audit.entries()) is None


def test_rows_come_back_as_they_were_added_in_order_and_numbered(audit: Audit) -> None:
    added = [audit.append(entry, seen=audit.read()) for entry in (PROMOTED, APPROVED)]
    assert audit.entries() == tuple(added)
    assert [entry.number for entry in added] == [0, 1]
    assert [replace(entry, number=-1, at=None, seal=None) for entry in added] == [PROMOTED, APPROVED]
    assert added[0].at is not None
    assert added[0].at.tzinfo is not None


def test_an_answer_is_no_move(audit: Audit) -> None:
    first = audit.append(PROMOTED, seen=audit.read())
    audit.append(APPROVED, seen=audit.read())
    assert last_move(audit.entries()) == first


@pytest.mark.parametrize("rows_before", [0, 1])
def test_of_two_writers_that_saw_the_same_one_is_refused(audit: Audit, rows_before: int) -> None:
    for _ in range(rows_before):
        audit.append(PROMOTED, seen=audit.read())
    seen = audit.read()
    audit.append(APPROVED, seen=seen)
    with pytest.raises(StoreError, match="Another writer"):
        audit.append(PROMOTED, seen=seen)
    assert len(audit.entries()) == rows_before + 1


def test_each_row_is_one_commit_and_none_is_ever_rewritten(audit: Audit) -> None:
    for entry in (PROMOTED, APPROVED, PROMOTED):
        audit.append(entry, seen=audit.read())
    modes = [said["operationParameters"]["mode"] for _, said in delta.history(audit.path)]
    assert modes == ["Append", "Append", "ErrorIfExists"]


@pytest.mark.parametrize(
    "by", ["", " ", "\t", "ana\n   7  promote", "ana\rsam", "ana\u2028x", "\x1b[2K", "a\u202eb"]
)
def test_a_name_that_a_history_would_not_show_as_it_is_writes_nothing(audit: Audit, by: str) -> None:
    with pytest.raises(ContractError, match="'by'"):
        audit.append(replace(PROMOTED, by=by), seen=audit.read())
    assert audit.read() == (None, ())


def test_a_reason_of_several_lines_is_kept_on_one(audit: Audit) -> None:
    kept = audit.append(replace(PROMOTED, why="carts\n   7  promote\u2028rose"), seen=audit.read())
    assert kept.why == "carts 7 promote rose"
    with pytest.raises(ContractError, match="'why'"):
        audit.append(replace(PROMOTED, why="\x1b[8m"), seen=audit.read())


def test_a_row_that_no_program_wrote_is_a_fault_of_the_store(audit: Audit) -> None:
    row = asdict(replace(PROMOTED, number=0, at=datetime(2026, 7, 6, tzinfo=UTC))) | {"kind": "promot"}
    delta.append_after(audit.path, pa.Table.from_pylist([row], schema=SCHEMA), version=None)
    with pytest.raises(StoreError, match="holds an invalid row: 'promot'"):
        audit.entries()


def test_an_audit_is_set_aside_whole(audit: Audit) -> None:
    audit.append(PROMOTED, seen=audit.read())
    aside = replace(audit, surface=audit.set_aside())
    assert audit.read() == (None, ())
    assert [entry.by for entry in aside.entries()] == ["ana"]
    assert audit.set_aside() == ""


ROW = Entry(Kind.PROMOTE, "ana", 8, 7, "carts rose", number=3, at=datetime(2026, 7, 6, tzinfo=UTC))


def test_history_says_from_and_to() -> None:
    plain = ROW.to_json()
    assert list(plain)[:7] == ["number", "at", "kind", "from", "to", "by", "why"]
    assert (plain["from"], plain["to"], plain["kind"]) == (7, 8, "promote")
    assert plain["at"] == "2026-07-06T00:00:00Z"


def test_the_table_has_a_column_for_each_field() -> None:
    assert sorted(SCHEMA.names) == sorted(field.name for field in fields(Entry))


@pytest.mark.parametrize(
    ("kind", "moves", "sets_alias"),
    [
        (Kind.PROMOTE, True, True),
        (Kind.ROLLBACK, True, True),
        (Kind.CANARY, False, True),
        (Kind.WITHDRAW, False, True),
        (Kind.APPROVE, False, False),
        (Kind.REJECT, False, False),
        (Kind.TIME_OUT, False, False),
    ],
)
def test_a_canary_moves_an_alias_and_not_the_champion(kind: Kind, moves: bool, sets_alias: bool) -> None:
    row = replace(ROW, kind=kind)
    assert (row.moves, row.sets_alias) == (moves, sets_alias)


def test_every_reason_is_brought_to_one_line_and_what_is_not_said_stays_unsaid() -> None:
    row = on_one_line(replace(ROW, why="carts\n   rose ", waiver="no\ttraffic"))
    assert (row.why, row.waiver, row.experiment, row.role) == ("carts rose", "no traffic", None, None)
    with pytest.raises(ContractError, match="'role' names nobody"):
        on_one_line(replace(ROW, role=" "))


@given(st.text())
def test_whatever_is_written_is_one_line_in_sight_or_refused(text: str) -> None:
    try:
        line = one_line("why", text)
    except ContractError:
        return
    assert line == one_line("why", line)
    assert not {unicodedata.category(sign) for sign in line} & {"Cc", "Cf", "Zl", "Zp"}


BEGAN = datetime(2026, 7, 6, tzinfo=UTC)
FIELDS = [field.name for field in fields(Entry) if field.name not in {"seal", "kind"}]


def sealed(count: int) -> list[Entry]:
    """Return rows as they are read."""
    rows: list[Entry] = []
    for number in range(count):
        kind = (Kind.APPROVE, Kind.PROMOTE, Kind.ROLLBACK)[number % 3]
        at, sha256 = BEGAN + timedelta(hours=number), f"{number:064}"
        row = Entry(kind, "ana", number, number or None, f"why {number}", sha256, at=at, sha256=sha256)
        rows.append(replace(row, number=number))
        rows[-1] = replace(rows[-1], seal=seals_of(rows)[-1])
    return rows


def other_than(value: Any) -> Any:
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return value + 1 if isinstance(value, int) else f"{value} too"


@given(st.integers(0, 12))
def test_rows_as_they_were_written_are_whole(count: int) -> None:
    assert broken_entries(sealed(count)) == {}


@given(st.data())
def test_a_changed_or_forgotten_field_of_any_row_is_found(data: st.DataObject) -> None:
    rows = sealed(8)
    place, field = data.draw(st.integers(0, 7)), data.draw(st.sampled_from(FIELDS))
    value = getattr(rows[place], field)
    changed: Any = other_than(value) if value is None or data.draw(st.booleans()) else None
    change: dict[str, Any] = {field: changed}
    rows[place] = replace(rows[place], **change)
    assert broken_entries(rows)


@given(st.data())
def test_a_removed_doubled_or_moved_row_is_found(data: st.DataObject) -> None:
    rows = sealed(8)
    place, other = data.draw(st.lists(st.integers(0, 6), min_size=2, max_size=2, unique=True))
    done = data.draw(st.sampled_from(["removed", "doubled", "moved"]))
    if done == "removed":
        del rows[place]
    elif done == "doubled":
        rows.insert(other, rows[place])
    else:
        rows[place], rows[other] = rows[other], rows[place]
    assert broken_entries(rows)


@given(st.integers(0, 6))
def test_rows_that_were_numbered_anew_after_a_removal_are_found(removed: int) -> None:
    rows = sealed(8)
    del rows[removed]
    assert broken_entries([replace(row, number=number) for number, row in enumerate(rows)])


@pytest.mark.parametrize("change", [{"seal": None}, {"by": "max"}])
def test_a_break_is_named_where_it_is_found(change: dict[str, Any]) -> None:
    rows = sealed(4)
    rows[1] = replace(rows[1], **change)
    assert broken_entries(rows) == {1: "row 1, or a row before it, is not what was written"}


def moves_of(*moves: tuple[Kind, int]) -> list[Entry]:
    return [
        Entry(kind, "ana", release, None, "why", number=place) for place, (kind, release) in enumerate(moves)
    ]


def test_without_rows_nobody_serves_or_served() -> None:
    assert (last_move([]), last_alias_move([]), live_ramps([]), since_last_move([], 1), champions([])) == (
        *(None, None),
        *({}, (), []),
    )


def test_a_canary_is_the_newest_move_of_an_alias_and_none_of_the_champion() -> None:
    first, canary, _ = entries = moves_of((Kind.PROMOTE, 1), (Kind.CANARY, 2), (Kind.APPROVE, 2))
    assert (last_move(entries), last_alias_move(entries)) == (first, canary)
    assert live_ramps(entries)[2].newest == canary


def test_whatever_moves_an_alias_ends_the_canary() -> None:
    for kind in (Kind.PROMOTE, Kind.ROLLBACK, Kind.WITHDRAW):
        assert live_ramps(moves_of((Kind.CANARY, 2), (kind, 2))) == {}


def test_answers_count_from_the_newest_move_on() -> None:
    entries = moves_of((Kind.APPROVE, 2), (Kind.CANARY, 2), (Kind.APPROVE, 2), (Kind.REJECT, 2))
    assert since_last_move(entries, 2) == tuple(entries[2:])
    assert since_last_move(entries[:1], 2) == tuple(entries[:1])


def test_a_rollback_takes_back_what_it_undid_and_answers_serve_nothing() -> None:
    entries = moves_of(
        (Kind.PROMOTE, 1), (Kind.PROMOTE, 2), (Kind.APPROVE, 3), (Kind.PROMOTE, 3), (Kind.ROLLBACK, 1)
    )
    assert champions(entries[:4]) == [1, 2, 3]
    assert champions(entries) == [1]
    assert champions([*entries, *moves_of((Kind.ROLLBACK, 9))]) == [1, 9], "what never served begins to"
