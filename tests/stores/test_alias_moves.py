from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.stores.alias_moves import AliasMoves
from tasks.stores.audit import Entry, Kind
from tasks.stores.registry import Registry
from tasks.stores.runs import StepKey, step_run
from tests.stores.mlflow_home import new_home

MODEL = "feed.release"
Aliases = Mapping[str, int]


@pytest.fixture
def moves(tmp_path: Path) -> AliasMoves:
    """Four releases, none of them champion."""
    registry = Registry(new_home(tmp_path))
    with step_run(StepKey(registry.home, "feed", step="release", inputs="i")) as run:
        for number in range(4):
            files = {"manifest.json": str(number).encode()}
            registry.register(MODEL, files, run_id=run.run_id, tags={}, model_type="release")
    return AliasMoves(tmp_path, "feed", MODEL)


def promote(moves: AliasMoves, release: int, *, beside: int | None) -> Entry | None:
    """Move where the champion is the expected one."""

    def decide(entries: tuple[Entry, ...], aliases: Aliases) -> Entry | None:
        if aliases.get("champion") != beside:
            return None
        return Entry(Kind.PROMOTE, "ana", release, beside, "better")

    return moves.add(decide)


def rollback(moves: AliasMoves, release: int) -> Entry | None:
    return moves.add(lambda _, aliases: Entry(Kind.ROLLBACK, "ana", release, aliases["champion"], "worse"))


def aliases(moves: AliasMoves) -> dict[str, int]:
    return Registry(moves.home).aliases(MODEL)


def set_by_hand(moves: AliasMoves, alias: str, version: int) -> None:
    registry = Registry(moves.home)
    registry.set_alias(registry.part(MODEL, version), alias)


def test_the_first_champion_has_no_previous(moves: AliasMoves) -> None:
    promote(moves, 1, beside=None)
    assert aliases(moves) == {"champion": 1}
    assert moves.mismatch() is None


def test_the_old_champion_becomes_previous(moves: AliasMoves) -> None:
    promote(moves, 1, beside=None)
    promote(moves, 3, beside=1)
    assert aliases(moves) == {"champion": 3, "previous": 1}


def test_after_a_rollback_previous_is_the_champion_so_that_a_second_one_changes_nothing(
    moves: AliasMoves,
) -> None:
    promote(moves, 1, beside=None)
    promote(moves, 2, beside=1)
    rollback(moves, 1)
    assert aliases(moves) == {"champion": 1, "previous": 1}
    assert moves.mismatch() is None


def test_nothing_decided_is_nothing_written(moves: AliasMoves) -> None:
    assert promote(moves, 1, beside=4) is None
    assert moves.audit.entries() == ()
    assert aliases(moves) == {}


@pytest.mark.parametrize("set_before_the_kill", [[], ["previous"], ["previous", "champion"]])
def test_a_move_that_was_killed_in_between_is_carried_out_by_the_next_to_come(
    moves: AliasMoves, set_before_the_kill: list[str]
) -> None:
    promote(moves, 1, beside=None)
    moves.audit.append(Entry(Kind.PROMOTE, "ana", 2, 1, "better"), seen=moves.audit.read())
    for alias in set_before_the_kill:
        set_by_hand(moves, alias, {"previous": 1, "champion": 2}[alias])
    assert moves.mismatch() is None
    assert moves.settle() == {"champion": 2, "previous": 1}
    assert len(moves.audit.entries()) == 2


def test_whoever_was_overtaken_decides_anew_on_what_is_so_now(moves: AliasMoves) -> None:
    """Another machine, which this one's lock does not stop, moves between the look and the commit."""
    seen: list[Aliases] = []

    def decide(entries: tuple[Entry, ...], aliases: Aliases) -> Entry | None:
        seen.append(aliases)
        if not entries:
            other = Entry(Kind.PROMOTE, "sam", 2, None, "first")
            moves.audit.append(other, seen=moves.audit.read())
            return Entry(Kind.PROMOTE, "ana", 1, None, "also first")
        return None

    assert moves.add(decide) is None
    assert seen == [{}, {"champion": 2}]
    assert [entry.by for entry in moves.audit.entries()] == ["sam"]


def test_of_many_at_once_exactly_one_wins(moves: AliasMoves) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda release: promote(moves, release, beside=None), (1, 2, 3, 4)))
    (winner,) = [entry for entry in done if entry is not None]
    assert moves.audit.entries() == (winner,)
    assert aliases(moves) == {"champion": winner.release}


def test_an_alias_that_was_moved_by_hand_is_told_from_what_the_audit_says(moves: AliasMoves) -> None:
    promote(moves, 1, beside=None)
    set_by_hand(moves, "champion", 3)
    assert "The registry says champion = 3; by the last audited move it is champion = 1" in str(
        moves.mismatch()
    )


def test_a_champion_that_no_move_made_is_told(moves: AliasMoves) -> None:
    set_by_hand(moves, "champion", 2)
    assert "The registry says champion = 2; by the last audited move it is no champion" in str(
        moves.mismatch()
    )


def test_a_champion_that_was_taken_away_by_hand_is_told(moves: AliasMoves) -> None:
    promote(moves, 1, beside=None)
    Registry(moves.home).client.delete_registered_model_alias(MODEL, "champion")
    assert "The registry says no champion" in str(moves.mismatch())


def test_settling_does_not_undo_what_somebody_did_by_hand(moves: AliasMoves) -> None:
    """It is for people to decide which of the two is right."""
    promote(moves, 1, beside=None)
    set_by_hand(moves, "champion", 3)
    assert moves.settle() == {"champion": 3}


def test_an_audit_whose_every_commit_is_taken_by_others_gives_up(moves: AliasMoves) -> None:
    def decide(entries: tuple[Entry, ...], aliases: Aliases) -> Entry:
        answer = Entry(Kind.APPROVE, "sam", 1, None, "", "e", role="safety")
        moves.audit.append(answer, seen=moves.audit.read())
        return Entry(Kind.PROMOTE, "ana", 1, None, "better")

    with pytest.raises(StoreError, match="Others kept writing"):
        moves.add(decide)
    assert aliases(moves) == {}
