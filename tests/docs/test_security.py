"""SECURITY.md's table of what holds with a key and without is true, row by row."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.settings import REPOSITORY
from tasks.stores.aliases import CARRIED_OUT, ReleaseAliases
from tasks.stores.audit import HEAD, AuditHead, Entry, Kind, name_row
from tasks.stores.backup import back_up
from tasks.stores.releases import read_share
from tasks.stores.store import Store, audit_key_file
from tests.stores.registered import MODEL, forge, new_aliases, register

KEY = "5d" * 32
REFUSED, BELIEVED, REPORTED = "refused", "believed", "reported by `release verify`"
FIRST = Entry(Kind.PROMOTE, "ana", 1, None, "the first")


def table() -> list[tuple[str, str, str]]:
    text = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")
    lines = text.split("| --- | --- | --- |\n")[1].split("\n\n")[0].splitlines()
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    return [(what, without, with_key) for what, without, with_key in rows]


def table_of(moves: ReleaseAliases) -> Path:
    assert isinstance(moves.audit.path, Path)
    return moves.audit.path


def third(moves: ReleaseAliases) -> Entry:
    two, three = (moves.registry.part(MODEL, version).sha256 for version in (2, 3))
    return Entry(Kind.PROMOTE, "max", 3, 2, "mine", sha256=three, champion_sha256=two)


def write_anew(moves: ReleaseAliases, *rows: Entry) -> None:
    """Write a table of these rows, its chain whole."""
    shutil.rmtree(table_of(moves))
    for row in rows:
        forge(moves, row)


def name_newest(moves: ReleaseAliases) -> None:
    rows = moves.audit.entries()
    moves.registry.set_model_tag(MODEL, HEAD, str(AuditHead(len(rows) - 1, rows[-1].seal or "")))


def change_row(moves: ReleaseAliases) -> None:
    one, two = moves.audit.entries()
    write_anew(moves, one, replace(two, by="max"))


def add_row(moves: ReleaseAliases) -> None:
    forge(moves, third(moves))


def add_named_row(moves: ReleaseAliases) -> None:
    add_row(moves)
    name_newest(moves)


def write_new_audit(moves: ReleaseAliases) -> None:
    write_anew(moves, replace(third(moves), champion=None, champion_sha256=None))
    name_newest(moves)
    moves.registry.set_model_tag(MODEL, CARRIED_OUT, name_row(moves.audit.entries(), 0))
    moves.registry.delete_alias(MODEL, "previous")
    moves.registry.set_alias(moves.registry.part(MODEL, 3), "champion")


def remove_all(moves: ReleaseAliases) -> None:
    shutil.rmtree(table_of(moves))
    for alias in ("champion", "previous"):
        moves.registry.delete_alias(MODEL, alias)
    for tag in (HEAD, CARRIED_OUT):
        moves.registry.delete_model_tag(MODEL, tag)


def change_tags(moves: ReleaseAliases) -> None:
    moves.registry.set_tags(moves.registry.part(MODEL, 1), {"canary_share": 0.5, "override": "none"})


def restore_older(moves: ReleaseAliases) -> None:
    """Promote release 3, then put back table, tags and aliases of before."""
    registry, before = moves.registry, moves.registry.model_tags(MODEL)
    shutil.copytree(table_of(moves), moves.registry.home / "kept")
    moves.add(lambda *_: replace(third(moves), by="ana"))
    shutil.rmtree(table_of(moves))
    shutil.copytree(registry.home / "kept", table_of(moves))
    for tag, value in before.items():
        registry.set_model_tag(MODEL, tag, value)
    for alias, version in {"champion": 2, "previous": 1}.items():
        registry.set_alias(registry.part(MODEL, version), alias)


ATTACKS: dict[str, Callable[[ReleaseAliases], None]] = {
    "changes a row of the audit": change_row,
    "removes the newest row": lambda moves: write_anew(moves, moves.audit.entries()[0]),
    "adds a row to the table alone": add_row,
    "adds a row and names it in the registry's tags": add_named_row,
    "writes a new audit with its own tags": write_new_audit,
    "removes audit, tags and aliases together": remove_all,
    "moves an alias in the registry": lambda moves: moves.registry.set_alias(
        moves.registry.part(MODEL, 3), "champion"
    ),
    "changes `canary_share` or `override` of a version": change_tags,
    "restores an older audit with the tags of that time": restore_older,
}


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two homes of three releases, of which 1, then 2 were promoted: without a key, and with one."""
    made = {}
    for key in ("", KEY):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("EQUIPOISE_AUDIT_KEY", key)
            moves = new_aliases(tmp_path_factory.mktemp("security") / "home")
            register(moves, "one", "two", "three")
            moves.add(lambda *_: FIRST)
            moves.add(lambda *_: replace(FIRST, release=2, champion=1))
            made[key] = moves.registry.home
    return made


def outcome(moves: ReleaseAliases) -> str:
    try:
        moves.settle()
    except AuditMismatch:
        return REFUSED
    if moves.mismatch() is not None:
        return REFUSED
    return REPORTED if moves.wrong_tags() else BELIEVED


def test_the_table_has_a_row_for_each_attack() -> None:
    assert [what for what, *_ in table()] == list(ATTACKS)


@pytest.mark.parametrize("what", ATTACKS)
@pytest.mark.parametrize("key", ["", KEY], ids=["without a key", "with a key"])
def test_what_the_table_says_happens(
    homes: dict[str, Path], what: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", key)
    home = Path(shutil.copytree(homes[key], tmp_path / "home"))
    moves = Store.open(home).aliases("feed")
    assert outcome(moves) == BELIEVED
    ATTACKS[what](moves)
    expected = {row[0]: row[2 if key else 1] for row in table()}[what]
    assert outcome(moves) == expected
    sha256 = moves.registry.part(MODEL, 3).sha256
    attacked = expected == BELIEVED and ATTACKS[what] is not restore_older
    assert (moves.unverified(sha256) == "") == attacked, "what an attack makes champion is not served"


@pytest.mark.parametrize("key", ["", KEY], ids=["without a key", "with a key"])
def test_a_changed_tag_is_reported_also_where_the_last_move_seems_not_to_be_carried_out(
    homes: dict[str, Path], key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", key)
    moves = Store.open(Path(shutil.copytree(homes[key], tmp_path / "home"))).aliases("feed")
    moves.registry.set_model_tag(MODEL, CARRIED_OUT, name_row(moves.audit.entries(), 0))
    assert moves.wrong_tags() == []
    moves.registry.set_tags(moves.registry.part(MODEL, 2), {"canary_share": "many"})
    assert moves.wrong_tags() == [
        "The tag canary_share of feed.release version 2 is 'many', and the audit sets None"
    ]
    with pytest.raises(StoreError, match="'many', which is no share"):
        read_share(moves.registry.tags(moves.registry.part(MODEL, 2)))


def test_an_alias_is_set_back_by_at_most_the_move_that_seems_not_to_be_carried_out(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY)
    moves = Store.open(Path(shutil.copytree(homes[KEY], tmp_path / "home"))).aliases("feed")
    moves.add(lambda *_: third(moves))
    moves.registry.set_model_tag(MODEL, CARRIED_OUT, name_row(moves.audit.entries(), 0))
    moves.registry.set_alias(moves.registry.part(MODEL, 1), "champion")
    assert "updated an alias of feed.release by hand" in str(moves.mismatch())


@pytest.mark.parametrize("tagged", [False, True], ids=["before its tag", "after its tag"])
def test_a_canary_that_was_killed_before_or_after_its_tag_has_no_wrong_one(
    homes: dict[str, Path], tagged: bool, tmp_path: Path
) -> None:
    moves = Store.open(Path(shutil.copytree(homes[""], tmp_path / "home"))).aliases("feed")
    canary = replace(third(moves), kind=Kind.CANARY, share=0.05)
    moves.audit.append(canary, seen=moves.audit.read(), announce=moves.announce)
    if tagged:
        moves.registry.set_tags(moves.registry.part(MODEL, 3), {"canary_share": 0.05})
    assert moves.wrong_tags() == []


def test_a_key_that_is_set_later_asks_for_one_restart_which_keeps_the_rows(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY)
    store = Store.open(Path(shutil.copytree(homes[""], tmp_path / "home")))
    moves = store.aliases("feed")
    with pytest.raises(AuditMismatch, match="audit restart feed --why TEXT"):
        moves.settle()
    assert moves.restart(why="the key is new", by="ana").number == 2
    assert outcome(moves) == BELIEVED
    assert moves.settle() == {"champion": 2, "previous": 1}
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", "7f" * 32)
    assert outcome(store.aliases("feed")) == REFUSED


def test_a_process_without_the_key_reads_a_signed_audit_and_writes_none(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EQUIPOISE_AUDIT_KEY", raising=False)
    store = Store.open(Path(shutil.copytree(homes[KEY], tmp_path / "home")))
    moves = store.aliases("feed")
    assert outcome(moves) == BELIEVED
    with pytest.raises(Exception, match="Set EQUIPOISE_AUDIT_KEY to the key"):
        moves.add(lambda *_: third(moves))
    assert len(moves.audit.entries()) == 2
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY)
    assert outcome(store.aliases("feed")) == BELIEVED


def test_the_key_of_a_home_is_that_of_every_process_in_it_and_of_no_backup(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EQUIPOISE_AUDIT_KEY", raising=False)
    home = Path(shutil.copytree(homes[KEY], tmp_path / "home"))
    file = audit_key_file(home)
    file.parent.mkdir()
    file.write_text(KEY)
    file.chmod(0o600)
    assert outcome(Store.open(home).aliases("feed")) == BELIEVED
    assert Store.open(home).aliases("feed").settle() == {"champion": 2, "previous": 1}
    file.write_text("7f" * 32)
    assert outcome(Store.open(home).aliases("feed")) == REFUSED
    back_up(home, tmp_path / "backup")
    assert "7f" * 32 not in {
        read.read_text() for read in (tmp_path / "backup").rglob("audit") if read.is_file()
    }
    file.chmod(0o640)
    with pytest.raises(ContractError, match=r"Others may read or own the key .*keys/audit"):
        Store.open(home).aliases("feed")


def test_a_signed_row_that_was_killed_before_its_move_is_carried_out_by_whoever_comes_next(
    homes: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY)
    store = Store.open(Path(shutil.copytree(homes[KEY], tmp_path / "home")))
    moves = store.aliases("feed")
    moves.audit.append(third(moves), seen=moves.audit.read(), announce=moves.announce)
    monkeypatch.delenv("EQUIPOISE_AUDIT_KEY")
    assert store.aliases("feed").settle() == {"champion": 3, "previous": 2}
    monkeypatch.setenv("EQUIPOISE_AUDIT_KEY", KEY)
    assert outcome(store.aliases("feed")) == BELIEVED
