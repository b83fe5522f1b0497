"""The aliases of a surface's releases: updated with an audit row first, verified against the audit.

::

    audit row (refused when another was first)  ->  previous  ->  champion  ->  canary  ->  tags of both

    canary     canary := the release, with its share of the traffic as a tag of its version
    promote    previous := the old champion    champion := the release                     canary ends
    rollback   previous := champion := the release that it goes back to                    canary ends
    withdraw                                                                               canary ends

A process killed in between leaves a row that is ahead of the tags; the next process carries it out, for the
release with the row's digest only. Nothing is carried out while audit, registry and aliases differ (see
`find_mismatch`): a rollback records which release is meant and repairs them.

    audit       cannot be read, is not what was written, or lacks rows that MLflow's tags name
    registry    the release of the last move is missing, or another one has its number
    aliases     they are not what the last move set: somebody moved them by hand

The registered model carries two tags: ``equipoise.moves`` names the last move that was carried out, of any
alias, ``equipoise.audit`` the newest row, each as ``<number> <seal>``. Who may write to MLflow may set
them, so they are looked up in the audit.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.stores.audit import (
    Audit,
    Entry,
    Kind,
    broken_entries,
    last_alias_move,
    last_move,
    live_canary,
    seals_of,
)
from tasks.stores.registry import Registry

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
CANARY: Final = "canary"
CANARY_SHARE: Final = "canary_share"
"""The tag of a canary's version with its share of the traffic."""
OVERRIDE: Final = "override"
"""The tag of a release that became champion or canary although gates held it: who overrode what, and why."""
CARRIED_OUT: Final = "equipoise.moves"
HEAD: Final = "equipoise.audit"
_ROW: Final = re.compile(r"([0-9]{1,9}) ([0-9a-f]{64})")

Decide = Callable[[tuple[Entry, ...], Mapping[str, int]], Entry | None]
"""Receives every row of the audit and the version by alias; returns the next row, or None for no row."""


class MismatchSource(StrEnum):
    """Which of the three is wrong."""

    AUDIT = "audit"
    REGISTRY = "registry"
    ALIASES = "aliases"


@dataclass(frozen=True)
class Mismatch:
    """Which of audit, registry and aliases is wrong, how it differs, and what to do."""

    source: MismatchSource
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.what}. {self.way_out}"


def release_name(surface: str) -> str:
    """Return the name of the registered model of a surface's releases."""
    return f"{surface}.release"


@dataclass(frozen=True)
class ReleaseAliases:
    """The aliases ``champion``, ``previous`` and ``canary`` of one surface's releases.

    Parameters
    ----------
    audit : every move so far.
    registry : where the aliases are.
    """

    audit: Audit
    registry: Registry

    @property
    def model(self) -> str:
        """The registered model of the surface's releases."""
        return release_name(self.audit.surface)

    def settle(self) -> dict[str, int]:
        """Carry out a move that a killed process left undone; return the version by alias.

        Raises
        ------
        AuditMismatch
            The audit is not what was written, or the registry is older than it.
        """
        with self.registry.exclusive():
            return self._settle()

    def mismatch(self) -> Mismatch | None:
        """Return how audit, registry and aliases differ; a move that is not carried out yet is no difference.

        They are compared twice: another process may be in the midst of a move.
        """
        first = find_mismatch(self.audit, self.registry, self.model)
        return first and find_mismatch(self.audit, self.registry, self.model)

    def served(self) -> set[int]:
        """Return the releases that were champion and are still in the registry with the same bytes."""
        return served_releases(self.registry, self.model, self.audit.entries())

    def add(self, decide: Decide) -> Entry | None:
        """Add the row that ``decide`` returns, and carry it out where it is a move.

        Parameters
        ----------
        decide : called again when another row was first.

        Raises
        ------
        StoreError
            Other writers were first each time.
        AuditMismatch
            Audit and registry differ.
        """
        with self.registry.exclusive():
            added = self.audit.add(lambda entries: self._with_digests(decide(entries, self._settle())))
            self._settle()
            return added

    def mend(self, decide: Decide) -> Entry | None:
        """Add the move that ``decide`` returns and carry it out, also where audit and registry differ.

        An audit that is not what was written is set aside first, and the move begins a new one.
        """
        with self.registry.exclusive():
            mismatch = self.mismatch()
            if mismatch is not None and mismatch.source is MismatchSource.AUDIT:
                added = self._begin_anew(mismatch, decide((), self.registry.aliases(self.model)))
            else:
                added = self.audit.add(
                    lambda entries: self._with_digests(decide(entries, self.registry.aliases(self.model)))
                )
            if added is not None:
                self._carry_out(self.audit.entries())
            return added

    def unverified(self, sha256: str) -> str:
        """Return why the audit does not verify a release; empty where it does.

        A release is verified where the audit is what was written and one of its moves made these very bytes
        champion or canary.

        Parameters
        ----------
        sha256 : digest of the release's files.
        """
        mismatch = self.mismatch()
        if mismatch is not None and mismatch.source is MismatchSource.AUDIT:
            return str(mismatch)
        if any(
            entry.kind is not Kind.WITHDRAW and entry.sets_alias and entry.sha256 == sha256
            for entry in self.audit.entries()
        ):
            return ""
        known = (str(part) for part in self.registry.versions(self.model) if part.sha256 == sha256)
        named = next(known, f"a {self.model} that is not registered")
        return f"No move of the audit made {named} (sha256 {sha256[:12]}) champion or canary"

    def _begin_anew(self, mismatch: Mismatch, entry: Entry | None) -> Entry | None:
        if entry is None:
            return None
        aside = self.audit.set_aside() or "nothing"
        first = replace(entry, replaces=f"{aside} was left of an audit: {mismatch.what}")
        return self.audit.add(lambda _: self._with_digests(first))

    def _settle(self) -> dict[str, int]:
        """Set the aliases of the last move, also where a newer one comes in between."""
        mismatch = self.mismatch()
        if mismatch is not None and mismatch.source is not MismatchSource.ALIASES:
            raise AuditMismatch(f"{mismatch}.")
        entries = self.audit.entries()
        while mismatch is None and is_pending(entries, self.registry.model_tags(self.model)):
            self._carry_out(entries)
            entries = self.audit.entries()
        if mismatch is None:
            self._tag_rows(entries)
        return self.registry.aliases(self.model)

    def _carry_out(self, entries: Sequence[Entry]) -> None:
        """Set the aliases of the last move, then the tags that name it and the newest row."""
        registry, move = self.registry, last_alias_move(entries)
        if move is None:
            return
        meant, parts = meant_aliases(entries), {p.version: p for p in registry.versions(self.model)}
        if (canary := live_canary(entries)) is not None:
            registry.set_tags(parts[canary.release], {CANARY_SHARE: canary.share})
        if move.override is not None:
            part = parts[move.release]
            registry.set_tags(part, {OVERRIDE: move.override})
            registry.describe(part, mark_overridden(registry.description(part), move.override))
        for alias, version in meant.items():
            registry.set_alias(registry.part(self.model, version), alias)
        if CANARY not in meant:
            registry.delete_alias(self.model, CANARY)
        ended = {entry.release for entry in entries if entry.kind is Kind.CANARY} - {meant.get(CANARY)}
        for version in ended & parts.keys():
            registry.delete_tag(parts[version], CANARY_SHARE)
        self._tag_rows(entries)

    def _tag_rows(self, entries: Sequence[Entry]) -> None:
        """Let MLflow's tags name the last move and the newest row."""
        move = last_alias_move(entries)
        named = {CARRIED_OUT: None if move is None else move.number, HEAD: len(entries) - 1}
        for tag, number in named.items():
            if entries and number is not None:
                self.registry.set_model_tag(self.model, tag, name_row(entries, number))

    def _with_digests(self, entry: Entry | None) -> Entry | None:
        """Return a row with the digests of its releases."""
        if entry is None:
            return None
        release = self.registry.part(self.model, entry.release)
        there = {part.version: part.sha256 for part in self.registry.versions(self.model)}
        champion = None if entry.champion is None else there.get(entry.champion)
        return replace(entry, sha256=entry.sha256 or release.sha256, champion_sha256=champion)


def mark_overridden(description: str, override: str) -> str:
    """Let a release's description begin with the override by which it serves, once.

    Examples
    --------
    >>> marked = mark_overridden("The gates say hold.", "a fire sale (lead lifts decision block: click_rate)")
    >>> marked.splitlines()[0]
    '**Overridden**: a fire sale (lead lifts decision block: click_rate)'
    >>> mark_overridden(marked, "a fire sale (lead lifts decision block: click_rate)") == marked
    True
    """
    first = f"**Overridden**: {override}"
    if not override or description.startswith(first):
        return description
    return f"{first}\n\n{description}"


def meant_aliases(entries: Sequence[Entry]) -> dict[str, int]:
    """Return the aliases after some rows, in the order in which they are set; an alias not named has ended.

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
    return f"{number} {seals_of(entries)[number]}"


def is_pending(entries: Sequence[Entry], tags: Mapping[str, str]) -> bool:
    """Return whether the last move of an alias was not carried out yet: the tag names an earlier row.

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
    """Return the releases that were champion and are still in the registry with the same bytes."""
    digests = {part.version: part.sha256 for part in registry.versions(model)}
    moved = [release for entry in entries if entry.moves for release in _releases_of(entry)]
    return {version for version, sha256 in moved if version in digests and digests[version] == sha256}


def find_mismatch(audit: Audit, registry: Registry, model: str) -> Mismatch | None:
    """Compare an audit with the registry; None where they agree. Tags are read before the rows they name."""
    tags = registry.model_tags(model)
    try:
        entries = audit.entries()
    except StoreError as error:
        return _audit_mismatch(audit, str(error))
    if problem := next(_audit_problems(audit, entries, tags), ""):
        return _audit_mismatch(audit, problem)
    if problem := next(_foreign(registry, model, entries), ""):
        return _registry_mismatch(audit, registry, model, entries, problem)
    problem = next(_set_by_hand(registry, model, entries, tags), "")
    return _by_hand(audit, problem) if problem else None


def _releases_of(move: Entry) -> Iterator[tuple[int, str | None]]:
    """Yield the version and the digest of each release of a move."""
    yield move.release, move.sha256
    if move.champion is not None:
        yield move.champion, move.champion_sha256


def _named(entries: Sequence[Entry], tag: str) -> int | None:
    """Return the number of the row that a tag names, None where it names none of these."""
    found = _ROW.fullmatch(tag)
    if found is None or int(found[1]) >= len(entries):
        return None
    number = int(found[1])
    return number if found[2] == seals_of(entries)[number] else None


def _audit_problems(audit: Audit, entries: Sequence[Entry], tags: Mapping[str, str]) -> Iterator[str]:
    for problem in broken_entries(entries).values():
        yield f"The audit {audit.path} is not what was written: {problem}"
    newest = tags.get(HEAD, tags.get(CARRIED_OUT, ""))
    if _ROW.fullmatch(newest) and _named(entries, newest) is None:
        yield (
            f"The audit {audit.path} has {len(entries)} rows, and none of them is the row that MLflow names "
            f"({newest[:20]}): rows were lost or changed"
        )


def _foreign(registry: Registry, model: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield how a release that the last moves give an alias is not the registry's."""
    for move in filter(None, (last_move(entries), live_canary(entries))):
        yield from _foreign_releases(registry, model, move, meant_aliases(entries).values())


def _foreign_releases(
    registry: Registry, model: str, move: Entry, versions: Collection[int]
) -> Iterator[str]:
    for version, sha256 in _releases_of(move):
        if version not in versions:
            continue
        row = f"row {move.number} of the audit is about release {version}"
        try:
            part = registry.part(model, version)
        except ContractError:
            yield f"{row}, and the registry has none"
            continue
        if part.sha256 != sha256:
            made = f"made {registry.made_at(part):%F %T}"
            yield (
                f"{row} with sha256 {(sha256 or 'none')[:12]}, and the registry's has sha256 "
                f"{part.sha256[:12]}, {made}"
            )


def _set_by_hand(
    registry: Registry, model: str, entries: Sequence[Entry], tags: Mapping[str, str]
) -> Iterator[str]:
    """Yield which tag names no row of an audit that is whole, and which aliases differ from its moves."""
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
        differ = f"In the registry, {_in_words(found)}; by the last audited move, {_in_words(meant)}"
        yield f"Somebody moved an alias of {model} by hand. {differ}"


def _is_midway(entries: Sequence[Entry], found: Mapping[str, int], *, carried_out: int | None) -> bool:
    """Return whether each alias is as the last carried-out move left it, or as the newest sets it.

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
    way_out = f"Restore it from a backup; where there is none, {rollback}"
    return Mismatch(MismatchSource.AUDIT, problem, way_out)


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
            f"move {audit.path} away, since none of its releases is there: the next promotion begins a new "
            "audit"
        )
    return Mismatch(
        MismatchSource.REGISTRY,
        f"The registry is younger than the audit of {audit.surface}: {problem}",
        f"Restore the registry that the audit belongs to; where there is none, {otherwise}",
    )


def _by_hand(audit: Audit, what: str) -> Mismatch:
    rollback = f"`equipoise rollback {audit.surface} --to VERSION --why TEXT`"
    return Mismatch(MismatchSource.ALIASES, what, f"Repair it with {rollback}, once, which records it")


def _in_words(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} = {version}" for alias, version in aliases.items()) or "no champion"
