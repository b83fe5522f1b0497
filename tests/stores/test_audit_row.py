"""A row of the audit: what a history prints of it, and that nothing in it looks like another row."""

import unicodedata
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ContractError
from tasks.stores.audit_row import SCHEMA, Entry, Kind, on_one_line, one_line

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
