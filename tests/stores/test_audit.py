from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import ContractError, StoreError
from tasks.stores import delta
from tasks.stores.audit import Audit, broken_entries
from tasks.stores.audit_row import SCHEMA as AUDIT_SCHEMA
from tasks.stores.audit_row import Entry, Kind
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
    assert audit.last_move() is None


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


def test_rows_of_a_program_before_seals_are_read_and_covered_by_the_next(audit: Audit) -> None:
    at = datetime(2026, 7, 6, tzinfo=UTC)
    earlier = asdict(replace(PROMOTED, number=0, at=at))
    newer_columns = ("sha256", "champion_sha256", "loosened", "replaces", "seal")
    row = {name: value for name, value in earlier.items() if name not in newer_columns}
    schema = pa.schema([field for field in AUDIT_SCHEMA if field.name not in newer_columns])
    delta.append_after(audit.path, pa.Table.from_pylist([row], schema=schema), version=None)
    added = audit.append(replace(APPROVED, sha256="d" * 64), seen=audit.read())
    first, second = audit.entries()
    assert (first, second) == (replace(PROMOTED, number=0, at=at), added)
    assert broken_entries([first, second]) == {}
    assert broken_entries([replace(first, by="max"), second]).keys() == {1}


def test_a_row_that_no_program_wrote_is_a_fault_of_the_store(audit: Audit) -> None:
    row = asdict(replace(PROMOTED, number=0, at=datetime(2026, 7, 6, tzinfo=UTC))) | {"kind": "promot"}
    delta.append_after(audit.path, pa.Table.from_pylist([row], schema=AUDIT_SCHEMA), version=None)
    with pytest.raises(StoreError, match="'promot' is not a valid Kind"):
        audit.entries()


def test_an_audit_is_set_aside_whole(audit: Audit) -> None:
    audit.append(PROMOTED, seen=audit.read())
    aside = replace(audit, surface=audit.set_aside())
    assert audit.read() == (None, ())
    assert [entry.by for entry in aside.entries()] == ["ana"]
    assert audit.set_aside() == ""
