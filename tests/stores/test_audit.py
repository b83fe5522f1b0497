from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.stores import delta
from tasks.stores.audit import Audit, Entry, Kind

PROMOTED = Entry(
    Kind.PROMOTE, "ana", 1, None, "the first", "e" * 64, waiver="no traffic yet", run="manual__1"
)
APPROVED = Entry(Kind.APPROVE, "sam", 2, 1, "", "f" * 64, role="safety", run="manual__2")


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path, "feed")


def test_a_surface_without_moves_has_no_rows(audit: Audit) -> None:
    assert audit.read() == (None, ())
    assert audit.last_move() is None


def test_rows_come_back_as_they_were_added_in_order_and_numbered(audit: Audit) -> None:
    added = [audit.append(entry, seen=audit.read()) for entry in (PROMOTED, APPROVED)]
    assert audit.entries() == tuple(added)
    assert [entry.number for entry in added] == [0, 1]
    assert [replace(entry, number=-1, at=None) for entry in added] == [PROMOTED, APPROVED]
    assert added[0].at is not None
    assert added[0].at.tzinfo is not None


def test_an_answer_is_no_move(audit: Audit) -> None:
    first = audit.append(PROMOTED, seen=audit.read())
    audit.append(APPROVED, seen=audit.read())
    assert audit.last_move() == first


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


def test_history_says_from_and_to(audit: Audit) -> None:
    plain = audit.append(replace(PROMOTED, champion=7, release=8), seen=audit.read()).to_json()
    assert list(plain)[:7] == ["number", "at", "kind", "from", "to", "by", "why"]
    assert (plain["from"], plain["to"], plain["kind"]) == (7, 8, "promote")
    assert plain["at"].endswith("Z")
