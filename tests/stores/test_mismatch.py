"""Audit and registry are held against each other, and one rollback mends whatever does not agree."""

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.stores.aliases import MismatchSource, ReleaseAliases
from tasks.stores.audit import Entry, Kind, last_move, name_row, since_last_move
from tasks.stores.store import Store
from tests.stores.registered import MODEL, append, forge, new_aliases, register

PROMOTED = Entry(Kind.PROMOTE, "ana", 1, None, "the first")


def audit_folder(moves: ReleaseAliases) -> Path:
    assert isinstance(moves.audit.path, Path)
    return moves.audit.path


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> ReleaseAliases:
    """Three releases; 1, then 2 were promoted, the latter approved."""
    moves = new_aliases(tmp_path_factory.mktemp("settled") / "home")
    register(moves, "one", "two", "three")
    moves.add(lambda *_: PROMOTED)
    moves.add(lambda *_: Entry(Kind.APPROVE, "sam", 2, 1, "", "e", role="safety"))
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 2, 1, "better", "e"))
    return moves


@pytest.fixture
def moves(settled: ReleaseAliases, tmp_path: Path) -> ReleaseAliases:
    shutil.copytree(settled.registry.home, tmp_path / "home")
    return Store.open(tmp_path / "home").aliases("feed")


def aliases(moves: ReleaseAliases) -> dict[str, int]:
    return moves.registry.aliases(MODEL)


def told(moves: ReleaseAliases) -> MismatchSource | None:
    mismatch = moves.mismatch()
    return None if mismatch is None else mismatch.source


def mend(moves: ReleaseAliases, release: int) -> Entry | None:
    return moves.mend(
        lambda _, aliases: Entry(Kind.ROLLBACK, "sam", release, aliases.get("champion"), "back")
    )


def assert_one_rollback_mends(moves: ReleaseAliases) -> None:
    mend(moves, 1)
    assert moves.mismatch() is None
    assert moves.settle() == aliases(moves) == {"champion": 1, "previous": 1}
    last = last_move(moves.audit.entries())
    assert last is not None
    assert (last.release, last.why) == (1, "back")


def test_every_row_knows_its_releases_by_their_bytes(moves: ReleaseAliases) -> None:
    registry = moves.registry
    one, two = (registry.part(MODEL, version).sha256 for version in (1, 2))
    known = [(entry.sha256, entry.champion_sha256) for entry in moves.audit.entries()]
    assert known == [(one, None), (two, one), (two, one)]
    assert moves.served() == {1, 2}


@pytest.mark.parametrize("left", [0, 1, 2])
def test_rows_that_were_lost_are_missed_and_one_rollback_is_enough(moves: ReleaseAliases, left: int) -> None:
    rows = moves.audit.entries()[:left]
    moves.audit.set_aside()
    for row in rows:
        moves.audit.append(row, seen=moves.audit.read())
    assert told(moves) is MismatchSource.AUDIT
    with pytest.raises(StoreError, match=r"rollback feed --to VERSION --why TEXT`, once"):
        moves.settle()
    with pytest.raises(StoreError):
        moves.add(lambda *_: replace(PROMOTED, release=3, champion=2))
    assert_one_rollback_mends(moves)


def test_the_new_audit_says_what_it_replaces_and_the_old_one_is_kept(moves: ReleaseAliases) -> None:
    (audit_folder(moves) / "_delta_log" / f"{2:020}.json").write_text("{torn", encoding="utf-8")
    mend(moves, 1)
    (first,) = moves.audit.entries()
    (aside,) = audit_folder(moves).parent.glob("feed.set-aside-*")
    assert first.replaces is not None
    assert first.replaces.startswith(f"{aside.name} was left of an audit: The ")


def torn(file: Path, how: str, draw: random.Random) -> None:
    data = bytearray(file.read_bytes())
    if how == "lost":
        file.unlink()
    elif how == "flipped":
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
    else:
        file.write_bytes(data[: 0 if how == "empty" else draw.randrange(len(data))])


@pytest.mark.parametrize("how", ["empty", "cut", "flipped", "lost"])
def test_whatever_file_of_the_audit_is_torn_its_rows_are_true_or_told_and_one_rollback_mends(
    settled: ReleaseAliases, tmp_path: Path, how: str
) -> None:
    draw, true = random.Random(how), settled.audit.entries()  # noqa: S311 - a seed, no secret
    folder = audit_folder(settled)
    for number, name in enumerate(sorted(path.relative_to(folder) for path in folder.rglob("*.*"))):
        home = Path(shutil.copytree(settled.registry.home, tmp_path / str(number)))
        moves = Store.open(home).aliases("feed")
        torn(audit_folder(moves) / name, how, draw)
        if told(moves) is None:
            assert moves.audit.entries() == true, name
        assert_one_rollback_mends(moves)


def test_a_folder_that_may_not_be_read_is_not_taken_for_a_torn_audit(
    moves: ReleaseAliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    (audit_folder(moves) / "_delta_log" / f"{2:020}.json").write_bytes(b"")
    monkeypatch.setattr("tasks.stores.audit.access", lambda *_: False)
    with pytest.raises(StoreError, match="may be whole: nothing moved"):
        mend(moves, 1)
    assert aliases(moves) == {"champion": 2, "previous": 1}


@pytest.mark.parametrize("tag", ["equipoise.moves", "equipoise.audit"])
@pytest.mark.parametrize("value", ["", "abc", "-1", "1e3", "\u0661", "2 nothing", "0x10", "9" * 40])
def test_a_tag_that_is_no_row_is_told_and_one_rollback_puts_it_right(
    settled: ReleaseAliases, tmp_path: Path, tag: str, value: str
) -> None:
    moves = Store.open(Path(shutil.copytree(settled.registry.home, tmp_path / "home"))).aliases("feed")
    moves.registry.client.set_registered_model_tag(MODEL, tag, value)
    mismatch = moves.mismatch()
    assert mismatch is not None
    assert (mismatch.source, mismatch.what.startswith(f"Somebody set the tag {tag}")) == (
        MismatchSource.ALIASES,
        True,
    )
    assert_one_rollback_mends(moves)
    assert len(moves.audit.entries()) == 4, "the audit is whole and goes on"


def with_another_registry(settled: ReleaseAliases, home: Path, *contents: str) -> ReleaseAliases:
    """MLflow's database was lost, the audit kept: version numbers begin again."""
    moves = new_aliases(home)
    shutil.copytree(audit_folder(settled), audit_folder(moves))
    register(moves, *contents)
    return moves


def test_a_release_that_only_shares_the_number_is_never_champion(
    settled: ReleaseAliases, tmp_path: Path
) -> None:
    moves = with_another_registry(settled, tmp_path / "home", "one", "another two")
    with pytest.raises(AuditMismatch, match=r"No tag of feed\.release names row 0 of the audit"):
        moves.settle()
    with pytest.raises(StoreError, match="audit restart feed --why TEXT"):
        moves.add(lambda *_: replace(PROMOTED, release=2))
    assert aliases(moves) == {}


def test_a_registry_without_the_audits_tags_gets_a_new_audit_by_a_restart(
    settled: ReleaseAliases, tmp_path: Path
) -> None:
    moves = with_another_registry(settled, tmp_path / "home", "one")
    row = moves.restart(why="MLflow's disk died", by="ana")
    assert (row.number, row.kind, row.release) == (0, Kind.RESTART, 1)
    assert row.replaces is not None
    assert row.replaces.startswith("feed.set-aside-")
    assert moves.mismatch() is None
    moves.add(lambda *_: PROMOTED)
    assert aliases(moves) == {"champion": 1}
    assert moves.mismatch() is None


def test_an_older_registry_with_a_newer_audit_is_reported_and_no_row_is_carried_out(
    moves: ReleaseAliases,
) -> None:
    """A backup of MLflow from before the second promotion was restored."""
    before_the_aliases(moves)
    client, rows = moves.registry.client, moves.audit.entries()
    client.set_registered_model_tag(MODEL, "equipoise.audit", name_row(rows, 0))
    assert "No tag of feed.release names row 1 of the audit, and row 0 is the newest" in str(moves.mismatch())
    with pytest.raises(AuditMismatch):
        moves.settle()
    assert aliases(moves) == {"champion": 1}


def test_a_row_that_was_added_to_the_table_alone_is_reported_and_not_carried_out(
    moves: ReleaseAliases,
) -> None:
    third = moves.registry.part(MODEL, 3).sha256
    forge(moves, replace(PROMOTED, release=3, champion=2, sha256=third))
    assert told(moves) is MismatchSource.LOST
    with pytest.raises(AuditMismatch, match="names row 3 of the audit"):
        moves.settle()
    assert aliases(moves) == {"champion": 2, "previous": 1}
    assert "names row 3" in moves.unverified(third)


def test_a_forged_row_about_a_lost_release_makes_no_other_row_believed(moves: ReleaseAliases) -> None:
    third = moves.registry.part(MODEL, 3).sha256
    forge(moves, replace(PROMOTED, release=3, champion=2, sha256=third))
    forge(moves, replace(PROMOTED, release=99, champion=3, sha256="f" * 64))
    assert told(moves) is MismatchSource.LOST
    assert moves.unverified(third) != ""


def lose_audit(moves: ReleaseAliases) -> None:
    """Remove the audit, its tags and the aliases together."""
    shutil.rmtree(audit_folder(moves))
    for alias in aliases(moves):
        moves.registry.delete_alias(MODEL, alias)
    for tag in ("equipoise.moves", "equipoise.audit"):
        moves.registry.delete_model_tag(MODEL, tag)


def test_an_audit_that_was_removed_with_its_tags_and_aliases_begins_anew_by_a_restart_alone(
    moves: ReleaseAliases,
) -> None:
    lose_audit(moves)
    with pytest.raises(AuditMismatch, match=r"holds releases of feed, and its audit .* is lost"):
        moves.add(lambda *_: PROMOTED)
    moves.begin()
    assert told(moves) is MismatchSource.LOST, "a retrain begins the audit of a new surface alone"
    moves.restart(why="lost with its disk", by="ana")
    moves.add(lambda *_: PROMOTED)
    (restart, promoted) = moves.audit.entries()
    assert (restart.kind, restart.why, restart.release) == (Kind.RESTART, "lost with its disk", 3)
    assert (promoted.release, aliases(moves)) == (1, {"champion": 1})


@pytest.mark.parametrize("why", ["lost", ""])
def test_an_audit_that_can_be_believed_is_not_restarted(moves: ReleaseAliases, why: str) -> None:
    with pytest.raises(ContractError, match="can be believed" if why else "needs a reason"):
        moves.restart(why=why, by="ana")
    assert len(moves.audit.entries()) == 3


def test_approvals_from_before_a_restart_count_no_more(moves: ReleaseAliases) -> None:
    rows = [*moves.audit.entries(), Entry(Kind.APPROVE, "sam", 3, 2, "", "e", role="safety", number=3)]
    assert [entry.number for entry in since_last_move(rows, 3)] == [3]
    assert since_last_move([*rows, Entry(Kind.RESTART, "ana", 3, None, "lost", number=4)], 3) == ()


def test_a_release_that_was_deleted_is_missed(moves: ReleaseAliases) -> None:
    moves.registry.client.delete_model_version(MODEL, "2")
    assert told(moves) is MismatchSource.REGISTRY
    assert_one_rollback_mends(moves)


Change = Callable[[ReleaseAliases], object]


def before_the_aliases(moves: ReleaseAliases) -> None:
    """Take aliases and tag back to what they were before the second promotion was carried out."""
    client = moves.registry.client
    client.delete_registered_model_alias(MODEL, "previous")
    client.set_registered_model_alias(MODEL, "champion", "1")
    client.set_registered_model_tag(MODEL, "equipoise.moves", name_row(moves.audit.entries(), 0))


@pytest.mark.parametrize(
    "killed_before",
    [
        lambda moves: moves.registry.client.delete_registered_model_tag(MODEL, "equipoise.moves"),
        before_the_aliases,
    ],
    ids=["the moves' tag", "the aliases"],
)
def test_whatever_a_killed_move_left_undone_is_carried_out(
    moves: ReleaseAliases, killed_before: Change
) -> None:
    killed_before(moves)
    assert moves.mismatch() is None
    assert moves.settle() == {"champion": 2, "previous": 1}
    assert moves.mismatch() is None


def test_a_tag_of_the_newest_row_that_somebody_removed_is_reported(moves: ReleaseAliases) -> None:
    moves.registry.delete_model_tag(MODEL, "equipoise.audit")
    assert str(moves.mismatch()).startswith("Somebody removed the tag equipoise.audit")
    assert_one_rollback_mends(moves)


@pytest.mark.parametrize("tag", ["missing", "of the first move", "of the last move"])
def test_an_alias_that_somebody_moved_is_reported_whatever_the_tag_says(
    moves: ReleaseAliases, tag: str
) -> None:
    client, entries = moves.registry.client, moves.audit.entries()
    client.set_registered_model_alias(MODEL, "champion", "3")
    if tag == "missing":
        client.delete_registered_model_tag(MODEL, "equipoise.moves")
    elif tag == "of the first move":
        client.set_registered_model_tag(MODEL, "equipoise.moves", name_row(entries, 0))
    mismatch = moves.mismatch()
    assert mismatch is not None
    assert mismatch.source is MismatchSource.ALIASES
    assert "champion = 3" in mismatch.what
    assert "champion = 2" in mismatch.what
    moves.settle()
    assert aliases(moves)["champion"] == 3, "what somebody did is reported, and nothing is set in silence"
    assert_one_rollback_mends(moves)


def test_a_rollback_from_what_somebody_moved_is_carried_out_where_it_was_killed(
    moves: ReleaseAliases,
) -> None:
    client = moves.registry.client
    client.set_registered_model_alias(MODEL, "champion", "3")
    append(moves, Entry(Kind.ROLLBACK, "sam", 1, 3, "back"))
    assert moves.mismatch() is None
    assert moves.settle() == {"champion": 1, "previous": 1}


def test_an_unknown_release_is_refused_before_anything_is_written(moves: ReleaseAliases) -> None:
    with pytest.raises(ContractError, match="Unknown version '17'"):
        mend(moves, 17)
    assert moves.mismatch() is None


def test_the_audit_verifies_what_it_made_champion_by_its_bytes(moves: ReleaseAliases) -> None:
    registry = moves.registry
    reasons: list[str] = [moves.unverified(registry.part(MODEL, version).sha256) for version in (1, 2, 3)]
    assert reasons[:2] == ["", ""]
    assert reasons[2].startswith(f"No move of the audit made {MODEL} version 3")
    assert moves.unverified("f" * 64) != ""
