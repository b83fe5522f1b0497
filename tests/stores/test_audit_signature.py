"""Who lacks the key neither adds a row nor makes the chain anew unnoticed, whatever else they may write."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import ContractError
from tasks.stores import delta
from tasks.stores.alias_moves import AliasMoves, Told
from tasks.stores.audit import entry_seals
from tasks.stores.audit_row import SCHEMA, Entry, Kind
from tasks.stores.audit_signature import SIGNED, find_unsigned, sign_head, sign_row
from tests.stores.registered import MODEL, new_aliases, register

KEY = b"k" * 32
ANOTHER = b"x" * 32
SEALS = [f"{number:064}" for number in range(6)]


@given(covered=st.integers(0, 5), changed=st.integers(0, 5))
def test_a_row_after_the_head_needs_its_own_signature_and_one_before_the_chain(
    covered: int, changed: int
) -> None:
    signed: list[str | None] = [sign_row(seal, key=KEY) for seal in SEALS]
    head = sign_head(MODEL, covered, SEALS[covered], key=KEY)
    assert find_unsigned(SEALS, signed, model=MODEL, head=head, key=KEY) == ""
    signed[changed] = sign_row(SEALS[changed], key=ANOTHER)
    found = find_unsigned(SEALS, signed, model=MODEL, head=head, key=KEY)
    assert found == (f"row {changed} is not signed with this key" if changed > covered else "")


@pytest.mark.parametrize(
    "head",
    [
        sign_head(MODEL, 3, SEALS[3], key=ANOTHER),
        sign_head("another.release", 3, SEALS[3], key=KEY),
        sign_head(MODEL, 3, SEALS[3], key=KEY).replace("3 ", "2 ", 1),
        "3",
        "9" * 50,
    ],
)
def test_a_head_of_another_key_model_or_row_is_none(head: str) -> None:
    found = find_unsigned(SEALS, [None] * 6, model=MODEL, head=head, key=KEY)
    assert found == f"the tag {SIGNED} is not signed with this key"


def test_rows_that_were_cut_off_below_the_head_are_missed() -> None:
    head = sign_head(MODEL, 5, SEALS[5], key=KEY)
    found = find_unsigned(SEALS[:3], [None] * 3, model=MODEL, head=head, key=KEY)
    assert found == "row 5, which is signed, is not what was written or is lost"


@pytest.fixture
def moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AliasMoves:
    """Three releases, of which two became champion, by a program with the key."""
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY.hex())
    moves = new_aliases(tmp_path / "home")
    register(moves, "one", "two", "three")
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 1, None, "the first"))
    moves.add(lambda *_: Entry(Kind.APPROVE, "sam", 2, 1, "", "e", role="safety"))
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 2, 1, "better", "e"))
    return moves


def write(moves: AliasMoves, rows: list[Entry]) -> None:
    """Write the whole audit and MLflow's tag of its head as somebody without the key does: sealed, unsigned."""
    made: list[Entry] = []
    for number, row in enumerate(rows):
        unsealed = replace(row, number=number, seal=None)
        made.append(replace(unsealed, seal=entry_seals((*made, unsealed))[-1]))
    moves.audit.set_aside()
    table = pa.Table.from_pylist([asdict(row) for row in made], schema=SCHEMA)
    delta.append_after(moves.audit.path, table, version=None)
    client, head = moves.registry.client, f"{len(made) - 1} {made[-1].seal}"
    for tag in ("equipoise.audit", "equipoise.moves"):
        client.set_registered_model_tag(MODEL, tag, head)


Forge = Callable[[list[Entry]], list[Entry]]
FORGERIES: dict[str, Forge] = {
    "changed": lambda rows: [replace(rows[0], by="eve"), *rows[1:]],
    "removed": lambda rows: [rows[0], rows[2]],
    "reordered": lambda rows: [rows[1], rows[0], rows[2]],
    "cut off": lambda rows: [*rows[:2], replace(rows[2], why="cut")],
    "added": lambda rows: [*rows, Entry(Kind.APPROVE, "eve", 3, 2, "", "e", role="safety", at=rows[2].at)],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_chain_that_was_made_anew_as_a_whole_is_found_by_who_has_the_key(
    moves: AliasMoves, forgery: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert moves.mismatch() is None
    write(moves, FORGERIES[forgery](list(moves.audit.entries())))
    mismatch = moves.mismatch()
    assert mismatch is not None
    assert mismatch.of is Told.SIGNATURE
    monkeypatch.delenv("EQUIPOISE_AUDIT_KEY")
    assert moves.mismatch() is None, "the digests alone were all made anew"


def test_a_row_of_a_program_without_the_key_is_told_and_a_signature_of_all_rows_vouches_for_it(
    moves: AliasMoves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EQUIPOISE_AUDIT_KEY")
    moves.add(lambda *_: Entry(Kind.APPROVE, "sam", 3, 2, "", "e", role="safety"))
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY.hex())
    mismatch = moves.mismatch()
    assert mismatch is not None
    assert "row 3 is not signed with this key" in str(mismatch)
    assert "`equipoise release sign feed` vouches for them" in str(mismatch)
    assert moves.sign().number == 3
    assert moves.mismatch() is None


def test_an_audit_of_before_there_was_a_key_is_signed_once_and_goes_on(
    moves: AliasMoves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", ANOTHER.hex())
    mismatch = moves.mismatch()
    assert mismatch is not None
    assert mismatch.of is Told.SIGNATURE
    moves.sign()
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 3, 2, "better still", "e"))
    assert moves.mismatch() is None
    assert moves.registry.aliases(MODEL) == {"champion": 3, "previous": 2}


def test_going_back_is_possible_while_nobody_vouches_and_signs_nothing(
    moves: AliasMoves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", ANOTHER.hex())
    moves.mend(lambda *_: Entry(Kind.ROLLBACK, "sam", 1, 2, "returns rose"))
    assert moves.registry.aliases(MODEL) == {"champion": 1, "previous": 1}
    assert len(moves.audit.entries()) == 4, "the audit is whole and goes on"
    mismatch = moves.mismatch()
    assert mismatch is not None
    assert mismatch.of is Told.SIGNATURE


def test_without_a_key_nothing_is_signed(moves: AliasMoves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EQUIPOISE_AUDIT_KEY")
    with pytest.raises(ContractError, match="set EQUIPOISE_AUDIT_KEY"):
        moves.sign()


def test_the_audit_vouches_for_what_it_made_champion_by_its_bytes(moves: AliasMoves) -> None:
    registry = moves.registry
    doubts: list[Any] = [moves.doubt(registry.part(MODEL, version).sha256) for version in (1, 2, 3)]
    assert doubts[:2] == ["", ""]
    assert doubts[2].startswith(f"No move of the audit made {MODEL} version 3")
    assert moves.doubt("f" * 64) != ""
