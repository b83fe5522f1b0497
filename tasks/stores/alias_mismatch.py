"""Whether audit, registry and aliases tell the same: what differs, and the way out.

::

    audit       cannot be read, is not what was written, or lacks rows that the registry knows of
    registry    the release of the last move is not there, or is another one of the same number
    aliases     they are not what the last move says: somebody moved them by hand
    signature   a row is not signed, where this program has the key (``tasks/stores/audit_signature.py``)

The registered model carries two tags: ``equipoise.moves`` names the last move that was carried out, of
whatever alias, ``equipoise.audit`` the newest row, each as ``<number> <seal>``; earlier programs wrote the
number alone. Whoever may write to MLflow may set them, so what they say is looked up in the audit.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tasks.errors import ContractError, StoreError
from tasks.settings import Settings
from tasks.stores.audit import Audit, broken_entries, entry_seals
from tasks.stores.audit_history import last_alias_move, last_move, live_canary
from tasks.stores.audit_row import Entry, Kind
from tasks.stores.audit_signature import SIGNED, find_unsigned
from tasks.stores.parts import Part
from tasks.stores.registry import Registry

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
CANARY: Final = "canary"
CARRIED_OUT: Final = "equipoise.moves"
HEAD: Final = "equipoise.audit"
_ROW: Final = re.compile(r"([0-9]{1,9})(?: ([0-9a-f]{64}))?")


class Told(StrEnum):
    """Which of them cannot be believed."""

    AUDIT = "audit"
    REGISTRY = "registry"
    ALIASES = "aliases"
    SIGNATURE = "signature"


@dataclass(frozen=True)
class Mismatch:
    """What cannot be believed, how it differs, and the way out."""

    of: Told
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.what}. {self.way_out}"


def find_mismatch(audit: Audit, registry: Registry, model: str) -> Mismatch | None:
    """Compare an audit with the registry; None where both tell the same.

    A move that was not carried out yet is no difference. Tags are read before the rows that they name, and
    what differs is looked at twice: another process may be in the midst of a move.
    """
    first = _find_mismatch(audit, registry, model)
    return first and _find_mismatch(audit, registry, model)


def _find_mismatch(audit: Audit, registry: Registry, model: str) -> Mismatch | None:
    tags = registry.model_tags(model)
    try:
        entries = audit.entries()
    except StoreError as error:
        return _audit_mismatch(audit, str(error))
    if problem := next(_audit_problems(audit, entries, tags), ""):
        return _audit_mismatch(audit, problem)
    if problem := next(_foreign(registry, model, entries), ""):
        return _registry_mismatch(audit, registry, model, entries, problem)
    if problem := _signature_problem(model, entries, tags):
        return _unsigned(audit, problem)
    problem = next(_set_by_hand(registry, model, entries, tags), "")
    return _by_hand(audit, problem) if problem else None


def _signature_problem(model: str, entries: Sequence[Entry], tags: Mapping[str, str]) -> str:
    key = Settings().audit_key
    if key is None:
        return ""
    seals, signatures = entry_seals(entries), [entry.signature for entry in entries]
    return find_unsigned(seals, signatures, model=model, head=tags.get(SIGNED, ""), key=key)


def _unsigned(audit: Audit, problem: str) -> Mismatch:
    way_out = (
        f"Read `equipoise release history {audit.surface}`; where every row is right, `equipoise release "
        f"sign {audit.surface}` vouches for them"
    )
    return Mismatch(Told.SIGNATURE, f"The audit {audit.path} is not vouched for: {problem}", way_out)


def meant_aliases(entries: Sequence[Entry]) -> dict[str, int]:
    """Return the aliases after some rows, in the order in which they are set; what is not named has ended.

    Examples
    --------
    >>> promoted = Entry(Kind.PROMOTE, "ana", release=3, champion=2, why="better")
    >>> meant_aliases([promoted])
    {'previous': 2, 'champion': 3}
    >>> meant_aliases([promoted, Entry(Kind.CANARY, "ana", release=4, champion=3, why="better", share=0.05)])
    {'previous': 2, 'champion': 3, 'canary': 4}
    >>> meant_aliases([promoted, Entry(Kind.ROLLBACK, "ana", release=2, champion=3, why="returns rose")])
    {'previous': 2, 'champion': 2}
    """
    move, canary = last_move(entries), live_canary(entries)
    aliases: dict[str, int] = {}
    if move is not None:
        before = move.champion if move.kind is Kind.PROMOTE else move.release
        aliases = ({} if before is None else {PREVIOUS: before}) | {CHAMPION: move.release}
    return aliases if canary is None else aliases | {CANARY: canary.release}


def name_row(entries: Sequence[Entry], number: int) -> str:
    """Return how a tag names a row."""
    return f"{number} {entry_seals(entries)[number]}"


def is_pending(entries: Sequence[Entry], tags: Mapping[str, str]) -> bool:
    """Whether the last move of an alias was not carried out yet: the tag names an earlier row.

    There is no tag before the first move. A later move without one was carried out: somebody removed the tag.
    """
    move = last_alias_move(entries)
    if move is None:
        return False
    named = _named(entries, tags.get(CARRIED_OUT, ""))
    if named is None:
        return not any(entry.sets_alias for entry in entries[: move.number])
    return named < move.number


def served_releases(registry: Registry, model: str, entries: Sequence[Entry]) -> set[int]:
    """Return the releases that were champion and are in the registry as what they were then."""
    parts = {part.version: part for part in registry.versions(model)}
    moved = [release for entry in entries if entry.moves for release in _releases_of(entry)]
    return {
        one.version for one in moved if one.version in parts and one.is_part(registry, parts[one.version])
    }


@dataclass(frozen=True)
class _Release:
    """A release as a row of the audit knows it; programs before this one wrote no digest."""

    version: int
    sha256: str | None
    at: datetime | None

    def is_part(self, registry: Registry, part: Part) -> bool:
        """Whether a version of this number is this release: of its bytes, or at least not made after it."""
        if self.sha256 is not None:
            return part.sha256 == self.sha256
        return self.at is None or registry.made_at(part) <= self.at


def _releases_of(move: Entry) -> Iterator[_Release]:
    yield _Release(move.release, move.sha256, move.at)
    if move.champion is not None:
        yield _Release(move.champion, move.champion_sha256, move.at)


def _named(entries: Sequence[Entry], tag: str) -> int | None:
    """Return the number of the row that a tag names, None where it names none of these."""
    found = _ROW.fullmatch(tag)
    if found is None or int(found[1]) >= len(entries):
        return None
    number = int(found[1])
    return number if found[2] in {None, entry_seals(entries)[number]} else None


def _audit_problems(audit: Audit, entries: Sequence[Entry], tags: Mapping[str, str]) -> Iterator[str]:
    for problem in broken_entries(entries).values():
        yield f"The audit {audit.path} is not what was written: {problem}"
    newest = tags.get(HEAD, tags.get(CARRIED_OUT, ""))
    if _ROW.fullmatch(newest) and _named(entries, newest) is None:
        yield (
            f"The audit {audit.path} has {len(entries)} rows, and none of them is the row that MLflow knows "
            f"({newest[:20]}): rows were lost or changed"
        )


def _set_by_hand(
    registry: Registry, model: str, entries: Sequence[Entry], tags: Mapping[str, str]
) -> Iterator[str]:
    """Say which tag names no row of an audit that is whole, and which aliases are not what it says."""
    for tag in (CARRIED_OUT, HEAD):
        if tag in tags and _named(entries, tags[tag]) is None:
            named = f"{tags[tag][:40]!r} names no row of the audit"
            yield f"Somebody set the tag {tag} of {model} by hand: {named}"
    known, meant = registry.aliases(model), meant_aliases(entries)
    found: dict[str, int] = {alias: known[alias] for alias in (PREVIOUS, CHAMPION, CANARY) if alias in known}
    if is_pending(entries, tags):
        by_hand = not _is_midway(entries, found, carried_out=_named(entries, tags.get(CARRIED_OUT, "")))
    else:
        by_hand = found != meant
    if by_hand:
        differ = f"The registry says {_in_words(found)}; by the last audited move it is {_in_words(meant)}"
        yield f"Somebody moved an alias of {model} by hand. {differ}"


def _is_midway(entries: Sequence[Entry], found: Mapping[str, int], *, carried_out: int | None) -> bool:
    """Whether each alias is as the last move that was carried out left it, or as the newest sets it.

    A rollback may begin where somebody moved aliases by hand: its row holds what was champion then.
    """
    move, after = last_alias_move(entries), meant_aliases(entries)
    before = meant_aliases(entries[: 0 if carried_out is None else carried_out + 1])
    aliases = [PREVIOUS, CHAMPION, CANARY]
    if move is not None and move.kind is Kind.ROLLBACK:
        aliases = [] if found.get(CHAMPION) == move.champion else [CHAMPION]
    return all(found.get(alias) in {before.get(alias), after.get(alias)} for alias in aliases)


def _audit_mismatch(audit: Audit, problem: str) -> Mismatch:
    rollback = (
        f"`equipoise rollback {audit.surface} --to VERSION --why TEXT`, once: it sets what is left of it "
        "aside, and begins a new audit with the release that it goes to"
    )
    return Mismatch(Told.AUDIT, problem, f"Bring it back from a backup; where there is none, {rollback}")


def _foreign(registry: Registry, model: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Say how a release that the last moves give an alias is not the registry's."""
    for move in filter(None, (last_move(entries), live_canary(entries))):
        yield from _foreign_releases(registry, model, move, meant_aliases(entries).values())


def _foreign_releases(
    registry: Registry, model: str, move: Entry, versions: Collection[int]
) -> Iterator[str]:
    for release in _releases_of(move):
        if release.version not in versions:
            continue
        row = f"row {move.number} of the audit is about release {release.version}"
        try:
            part = registry.part(model, release.version)
        except ContractError:
            yield f"{row}, and the registry has none"
            continue
        if not release.is_part(registry, part):
            digest = (
                f" with sha256 {release.sha256[:12]}" if release.sha256 else f" of before {move.at:%F %T}"
            )
            made = f"made {registry.made_at(part):%F %T}"
            yield f"{row}{digest}, and the registry's has sha256 {part.sha256[:12]}, {made}"


def _registry_mismatch(
    audit: Audit, registry: Registry, model: str, entries: Sequence[Entry], problem: str
) -> Mismatch:
    if served := sorted(served_releases(registry, model, entries)):
        otherwise = (
            f"go back to a release that served and is there ({', '.join(map(str, served))}) with "
            f"`equipoise rollback {audit.surface} --to VERSION --why TEXT`, once"
        )
    else:
        otherwise = (
            f"move {audit.path} away, since no release that it tells of is there: the next promotion begins "
            "a new audit"
        )
    return Mismatch(
        Told.REGISTRY,
        f"The registry is younger than the audit of {audit.surface}: {problem}",
        f"Bring back the registry that the audit belongs to; where there is none, {otherwise}",
    )


def _by_hand(audit: Audit, what: str) -> Mismatch:
    rollback = f"`equipoise rollback {audit.surface} --to VERSION --why TEXT`"
    return Mismatch(Told.ALIASES, what, f"Put it right with {rollback}, once, which records it")


def _in_words(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} = {version}" for alias, version in aliases.items()) or "no champion"
