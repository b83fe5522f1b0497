import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.entities.model_registry import RegisteredModel

from tasks.errors import AuditMismatch, StoreError
from tasks.stores.aliases import ReleaseAliases
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.tracking import PatientClient
from tests.stores.registered import MODEL, append, new_aliases, register

Aliases = Mapping[str, int]


@pytest.fixture
def moves(tmp_path: Path) -> ReleaseAliases:
    """Four releases, none of them champion."""
    moves = new_aliases(tmp_path)
    register(moves, "0", "1", "2", "3")
    return moves


def promote(moves: ReleaseAliases, release: int, *, beside: int | None) -> Entry | None:
    """Move where the champion is the expected one."""

    def decide(entries: tuple[Entry, ...], aliases: Aliases) -> Entry | None:
        if aliases.get("champion") != beside:
            return None
        return Entry(Kind.PROMOTE, "ana", release, beside, "better")

    return moves.add(decide)


def rollback(moves: ReleaseAliases, release: int) -> Entry | None:
    return moves.add(lambda _, aliases: Entry(Kind.ROLLBACK, "ana", release, aliases["champion"], "worse"))


def aliases(moves: ReleaseAliases) -> dict[str, int]:
    return moves.registry.aliases(MODEL)


def set_by_hand(moves: ReleaseAliases, alias: str, version: int) -> None:
    registry = moves.registry
    registry.set_alias(registry.part(MODEL, version), alias)


def test_the_first_champion_has_no_previous(moves: ReleaseAliases) -> None:
    promote(moves, 1, beside=None)
    assert aliases(moves) == {"champion": 1}
    assert moves.mismatch() is None


def test_the_old_champion_becomes_previous(moves: ReleaseAliases) -> None:
    promote(moves, 1, beside=None)
    promote(moves, 3, beside=1)
    assert aliases(moves) == {"champion": 3, "previous": 1}


def test_after_a_rollback_previous_is_the_champion_so_that_a_second_one_changes_nothing(
    moves: ReleaseAliases,
) -> None:
    promote(moves, 1, beside=None)
    promote(moves, 2, beside=1)
    rollback(moves, 1)
    assert aliases(moves) == {"champion": 1, "previous": 1}
    assert moves.mismatch() is None


def test_nothing_decided_is_nothing_written(moves: ReleaseAliases) -> None:
    assert promote(moves, 1, beside=4) is None
    assert moves.audit.entries() == ()
    assert aliases(moves) == {}


@pytest.mark.parametrize("set_before_the_kill", [[], ["previous"], ["previous", "champion"]])
def test_a_move_that_was_killed_in_between_is_carried_out_by_the_next_to_come(
    moves: ReleaseAliases, set_before_the_kill: list[str]
) -> None:
    promote(moves, 1, beside=None)
    append(moves, Entry(Kind.PROMOTE, "ana", 2, 1, "better"))
    for alias in set_before_the_kill:
        set_by_hand(moves, alias, {"previous": 1, "champion": 2}[alias])
    assert moves.mismatch() is None
    assert moves.settle() == {"champion": 2, "previous": 1}
    assert len(moves.audit.entries()) == 2


def test_whoever_was_overtaken_decides_anew_on_what_is_so_now(moves: ReleaseAliases) -> None:
    """Another machine, which this one's lock does not stop, moves between the look and the commit."""
    seen: list[Aliases] = []

    def decide(entries: tuple[Entry, ...], aliases: Aliases) -> Entry | None:
        seen.append(aliases)
        if not entries:
            other = Entry(Kind.PROMOTE, "sam", 2, None, "first")
            append(moves, other)
            return Entry(Kind.PROMOTE, "ana", 1, None, "also first")
        return None

    assert moves.add(decide) is None
    assert seen == [{}, {"champion": 2}]
    assert [entry.by for entry in moves.audit.entries()] == ["sam"]


def test_of_many_at_once_exactly_one_wins(moves: ReleaseAliases) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda release: promote(moves, release, beside=None), (1, 2, 3, 4)))
    (winner,) = [entry for entry in done if entry is not None]
    assert moves.audit.entries() == (winner,)
    assert aliases(moves) == {"champion": winner.release}


def test_an_alias_that_was_moved_by_hand_is_told_from_what_the_audit_says(moves: ReleaseAliases) -> None:
    promote(moves, 1, beside=None)
    set_by_hand(moves, "champion", 3)
    assert "In the registry, champion = 3; by the last audited move, champion = 1" in str(moves.mismatch())


def test_a_champion_that_no_move_made_is_told(moves: ReleaseAliases) -> None:
    set_by_hand(moves, "champion", 2)
    assert "In the registry, champion = 2; by the last audited move, no champion" in str(moves.mismatch())


def test_a_champion_that_was_taken_away_by_hand_is_told(moves: ReleaseAliases) -> None:
    promote(moves, 1, beside=None)
    moves.registry.client.delete_registered_model_alias(MODEL, "champion")
    assert "In the registry, no champion" in str(moves.mismatch())


def test_settling_does_not_undo_what_somebody_did_by_hand(moves: ReleaseAliases) -> None:
    """It is for people to decide which of the two is right."""
    promote(moves, 1, beside=None)
    set_by_hand(moves, "champion", 3)
    assert moves.settle() == {"champion": 3}


def test_an_audit_whose_every_commit_is_taken_by_others_gives_up(moves: ReleaseAliases) -> None:
    def decide(entries: tuple[Entry, ...], aliases: Aliases) -> Entry:
        answer = Entry(Kind.APPROVE, "sam", 1, None, "", "e", role="safety")
        append(moves, answer)
        return Entry(Kind.PROMOTE, "ana", 1, None, "better")

    with pytest.raises(StoreError, match="Others kept writing"):
        moves.add(decide)
    assert aliases(moves) == {}


def canary(moves: ReleaseAliases, release: int) -> Entry | None:
    def decide(_: tuple[Entry, ...], aliases: Aliases) -> Entry | None:
        champion = aliases.get("champion")
        return None if champion is None else Entry(Kind.CANARY, "ana", release, champion, "t", share=0.05)

    return moves.add(decide)


def share(moves: ReleaseAliases, version: int) -> str | None:
    registry = moves.registry
    return registry.tags(registry.part(MODEL, version)).get("canary_share")


def test_a_canary_leaves_the_champion_and_a_promotion_ends_it(moves: ReleaseAliases) -> None:
    promote(moves, 1, beside=None)
    canary(moves, 2)
    assert aliases(moves) == {"champion": 1, "canary": 2}
    assert share(moves, 2) == "0.05"
    canary(moves, 3)
    assert (aliases(moves)["canary"], share(moves, 2), share(moves, 3)) == (3, None, "0.05")
    promote(moves, 3, beside=1)
    assert aliases(moves) == {"champion": 3, "previous": 1}
    assert share(moves, 3) is None


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_canary_that_was_killed_half_way_ends_as_if_nothing_had_been(
    moves: ReleaseAliases, done: int
) -> None:
    promote(moves, 1, beside=None)
    row = Entry(Kind.CANARY, "ana", 2, 1, "better", share=0.05)
    append(moves, row)
    registry = moves.registry
    if done > 0:
        registry.set_tags(registry.part(MODEL, 2), {"canary_share": 0.05})
    if done > 1:
        set_by_hand(moves, "canary", 2)
    assert moves.mismatch() is None
    assert moves.settle() == {"champion": 1, "canary": 2}
    assert share(moves, 2) == "0.05"


@pytest.mark.parametrize("done", [0, 1])
def test_the_end_of_a_canary_that_was_killed_half_way_leaves_no_share(
    moves: ReleaseAliases, done: int
) -> None:
    promote(moves, 1, beside=None)
    canary(moves, 2)
    append(moves, Entry(Kind.WITHDRAW, "sam", 2, 1, "hides rose"))
    if done:
        moves.registry.delete_alias(MODEL, "canary")
    assert moves.settle() == {"champion": 1}
    assert share(moves, 2) is None


STEPS = st.tuples(st.sampled_from(Kind), st.integers(1, 4), st.booleans())


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=1, max_size=7))
def test_whatever_moves_in_whatever_order_and_is_killed_where_audit_and_aliases_agree(
    moves: ReleaseAliases, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Kind, int, bool]]
) -> None:
    """The aliases are those of a few lines of our own; a killed move has written its row and nothing else."""
    home = tmp_path_factory.mktemp("any") / "home"
    shutil.copytree(moves.registry.home, home)
    here = Store.open(home).aliases("feed")
    expected: dict[str, int] = {}
    for kind, release, killed in steps:
        champion = expected.get("champion")
        if kind in {Kind.CANARY, Kind.WITHDRAW, Kind.ROLLBACK} and champion is None:
            continue
        row = Entry(kind, "ana", release, champion, "why", share=0.05 if kind is Kind.CANARY else None)
        if killed:
            here.settle()
            append(here, row)
        else:
            here.add(partial(_always, row))
        expected = next_aliases(expected, kind, release)
    assert here.mismatch() is None
    assert here.settle() == aliases(here) == expected
    shared = {version for version in range(1, 5) if share(here, version)}
    assert shared == ({expected["canary"]} if "canary" in expected else set())
    assert [entry.number for entry in here.audit.entries()] == list(range(len(here.audit.entries())))


def _always(row: Entry, *_: object) -> Entry:
    return row


def next_aliases(before: dict[str, int], kind: Kind, release: int) -> dict[str, int]:
    """Say by hand what a move makes of the aliases."""
    without = {alias: version for alias, version in before.items() if alias != "canary"}
    if kind is Kind.PROMOTE:
        previous = {"previous": before["champion"]} if "champion" in before else {}
        return {"champion": release} | previous
    if kind is Kind.ROLLBACK:
        return {"champion": release, "previous": release}
    if kind is Kind.CANARY:
        return without | {"canary": release}
    return without if kind is Kind.WITHDRAW else before


def test_aliases_that_agree_with_the_audit_are_settled_by_one_read_of_the_registered_model(
    moves: ReleaseAliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(moves, 1, beside=None)
    client, reads = type(moves.registry.client), list[str]()
    read = client.get_registered_model

    def reading(own: PatientClient, name: str) -> RegisteredModel:
        reads.append(name)
        return read(own, name)

    monkeypatch.setattr(client, "get_registered_model", reading)
    assert moves.settle() == {"champion": 1}
    assert reads == [MODEL]


def test_a_strict_settlement_refuses_an_alias_that_somebody_moved_by_hand(moves: ReleaseAliases) -> None:
    promote(moves, 1, beside=None)
    set_by_hand(moves, "champion", 3)
    assert moves.settle() == {"champion": 3}
    with pytest.raises(AuditMismatch, match=r"updated an alias of feed\.release by hand"):
        moves.settle(strict=True)
