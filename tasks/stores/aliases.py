"""Aliases of a surface's releases: each update first adds an audit row and is verified with the audit.

::

    row announced -> row (refused if another writer was first) -> previous -> champion -> canaries -> tags

    canary     canary := the release, with its share of its pool's users, and the pool, as tags of its version
    promote    previous := the old champion    champion := the release                     canaries end
    rollback   previous := champion := the target release                                 canaries end
    withdraw                                                                               the canary ends

A process killed in between leaves an announced row that is ahead of the tags. The next process carries out
the update, only for a release with the row's digest. Nothing is carried out while audit, registry and aliases
differ (see `read_state`). A rollback records the intended release and repairs the aliases.

    audit       cannot be read, was altered, or lacks rows that MLflow's tags name
    lost        there are releases without an audit, a row that no tag names, or, with a key, no signed tag
    registry    the release of the last update is missing, or another one has its number
    aliases     differ from the last update: they were changed by hand

The registered model has two tags: ``equipoise.moves`` names the last update of any alias that was carried
out, ``equipoise.audit`` the newest row (``tasks/stores/audit.py``). Every user with write access to MLflow
can set them, so they are checked with the audit. The first release starts the audit. A surface with releases
but without rows and tags has lost its audit, and a person must restart it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from tasks.contracts.slate import Boosts
from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.stores.audit import (
    HEAD,
    Audit,
    AuditHead,
    AuditHeads,
    Entry,
    Kind,
    announcement,
    boosts_of,
    broken_entries,
    find_row,
    last_alias_move,
    last_exposure,
    last_move,
    live_ramps,
    name_row,
    one_line,
    seals_of,
)
from tasks.stores.registry import Registry, make_model, mark_overridden

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
CANARY: Final = "canary"
CANARIES: Final = (CANARY, "canary_2", "canary_3", "canary_4")
"""Alias of the release that ramps in each pool of users, in the order of the pools' numbers."""
CANARY_SHARE: Final = "canary_share"
"""Tag of a canary's version with its share of the users of its pool."""
CANARY_POOL: Final = "canary_pool"
"""Tag of a canary's version with its pool; without it, the pool is all users."""
EXPOSURE_BOOSTS: Final = "exposure_boosts"
"""Tag of the registered model with the exposure boosts that servers apply."""
OVERRIDE: Final = "override"
"""Tag of a release that became champion or canary despite failed gates: by whom, which gates and why."""
CARRIED_OUT: Final = "equipoise.moves"
_MOVED: Final = (PREVIOUS, CHAMPION, *CANARIES)
_OF_CANARY: Final = (CANARY_SHARE, CANARY_POOL)

Decide = Callable[[tuple[Entry, ...], Mapping[str, int]], Entry | None]
"""Receives every row of the audit and the version by alias; returns the next row, or None."""


class MismatchSource(StrEnum):
    """The inconsistent source; ``lost``: the audit is lost, and only a restart begins a new one."""

    AUDIT = "audit"
    LOST = "lost"
    REGISTRY = "registry"
    ALIASES = "aliases"


UNBELIEVED: Final = frozenset({MismatchSource.AUDIT, MismatchSource.LOST})
"""Sources whose mismatch makes every row of the audit invalid."""


@dataclass(frozen=True)
class Mismatch:
    """The inconsistent source among audit, registry and aliases, the difference, and the remedy."""

    source: MismatchSource
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.what}. {self.way_out}"


@dataclass(frozen=True)
class AliasState:
    """Tags and aliases of the registered model, the audit's rows, and their differences.

    Tags and aliases come from one read of the model, before the rows are read. ``entries`` is empty if the
    audit cannot be read.
    """

    entries: tuple[Entry, ...]
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    mismatch: Mismatch | None

    @property
    def pending(self) -> bool:
        """Whether the only difference is that the last update was not carried out yet."""
        return self.mismatch is None and is_pending(self.entries, self.tags)


def release_name(surface: str) -> str:
    """Return the name of the registered model of a surface's releases."""
    return f"{surface}.release"


@dataclass(frozen=True)
class ReleaseAliases:
    """The aliases ``champion``, ``previous`` and the canaries' of one surface's releases.

    Parameters
    ----------
    audit : all rows so far.
    registry : the registry with the aliases.
    key : key that signs the rows that MLflow names; None without signatures.
    """

    audit: Audit
    registry: Registry
    key: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def model(self) -> str:
        """The registered model of the surface's releases."""
        return release_name(self.audit.surface)

    def settle(self, *, strict: bool = False) -> dict[str, int]:
        """Carry out an update that a killed process left undone; return the version by alias.

        Parameters
        ----------
        strict : refuse any mismatch; by default, aliases that were changed by hand are returned.
        """
        with self.registry.exclusive():
            return self._settle(strict=strict)

    def mismatch(self) -> Mismatch | None:
        """Return the difference of audit, registry and aliases; an update not yet carried out is ignored."""
        return self._read().mismatch

    def _read(self) -> AliasState:
        """Read and compare; a mismatch is read again because another process may be updating."""
        state = read_state(self.audit, self.registry, self.model, self.key)
        if state.mismatch is None:
            return state
        return read_state(self.audit, self.registry, self.model, self.key)

    def served(self) -> set[int]:
        """Return the former and current champions that the registry still contains with the same bytes."""
        return served_releases(self.registry, self.model, self.audit.entries())

    def boosts(self, before: datetime | None = None) -> Boosts:
        """Return the exposure boosts in force at an instant, by default now."""
        return boosts_of(last_exposure(self.audit.entries(), before))

    def add(self, decide: Decide) -> Entry | None:
        """Add the row that ``decide`` returns, and carry it out if it updates an alias."""
        with self.registry.exclusive():
            added = self.audit.add(
                lambda entries: self._with_digests(decide(entries, self._settle())), announce=self.announce
            )
            self._settle()
            return added

    def begin(self) -> None:
        """Start the audit of a surface without releases, unless it was started before."""
        begun = AuditHead.begun(self.model, key=self.key)
        make_model(self.registry.client, self.model, {HEAD: str(begun)})

    def restart(self, *, why: str, by: str) -> Entry:
        """Start a new audit if the old one is invalid; rows that only lack a signature are kept."""
        if not one_line("why", why):
            raise ContractError("A restart of the audit needs a reason. Give it with --why TEXT")
        with self.registry.exclusive():
            versions, mismatch = self.registry.versions(self.model), self.mismatch()
            if mismatch is None or mismatch.source not in UNBELIEVED or not versions:
                raise ContractError(
                    f"The audit of {self.audit.surface} can be believed, so there is nothing to restart"
                )
            aside = "" if self._is_only_unsigned() else self.audit.set_aside()
            replaces = f"{aside or 'nothing'} was left of an audit: {mismatch.what}"
            row = Entry(Kind.RESTART, by, versions[0].version, None, why, replaces=replaces)
            added = self.audit.append(row, seen=self.audit.read(), announce=self._name_next)
            self.registry.delete_model_tag(self.model, CARRIED_OUT)
            self._tag_rows(self.audit.entries(), self.registry.model_tags(self.model))
            return added

    def _is_only_unsigned(self) -> bool:
        """Whether the newest row is the one that the registry names, and only its signature is missing."""
        try:
            entries = self.audit.entries()
        except StoreError:
            return False
        newest = AuditHeads.read(self.registry.model_tags(self.model)).newest
        if newest is None or not entries or broken_entries(entries):
            return False
        return (newest.number, newest.seal) == (entries[-1].number, entries[-1].seal)

    def announce(self, row: Entry) -> None:
        """Add an MLflow tag that names the next row, which makes it valid; see the module ``audit``."""
        newest = AuditHeads.read(self.registry.model_tags(self.model)).newest
        if newest is not None and newest.signature and self.key is None:
            raise StoreError(
                f"The audit of {self.audit.surface} is signed, and this process has no key. Set "
                "EQUIPOISE_AUDIT_KEY to the key of the processes that sign it."
            )
        self._name_next(row)

    def _name_next(self, row: Entry) -> None:
        seal = row.seal or ""
        named = AuditHead.of(self.model, row.number, seal, key=self.key)
        self.registry.set_model_tag(self.model, announcement(seal), str(named))

    def mend(self, decide: Decide) -> Entry | None:
        """Add the update that ``decide`` returns and carry it out even if audit and registry differ.

        An altered audit is first set aside, and the update starts a new one.
        """
        with self.registry.exclusive():
            mismatch = self.mismatch()
            if mismatch is not None and mismatch.source is MismatchSource.AUDIT:
                added = self._begin_anew(mismatch, decide((), self.registry.aliases(self.model)))
            else:
                added = self.audit.add(
                    lambda entries: self._with_digests(decide(entries, self.registry.aliases(self.model))),
                    announce=self.announce,
                )
            if added is not None:
                self._carry_out(self._read())
            return added

    def unverified(self, sha256: str) -> str:
        """Return why the audit does not verify a release, or an empty string.

        A release is verified if the audit is unaltered, also according to the registry's tags, and one of its
        updates made exactly these bytes champion or canary.
        """
        mismatch = self.mismatch()
        if mismatch is not None and mismatch.source in UNBELIEVED:
            return str(mismatch)
        entries, tags = self.audit.entries(), self.registry.model_tags(self.model)
        heads = AuditHeads.read(tags).signed(self.model, key=self.key)
        if problem := next(_unnamed_rows(self.model, entries, heads), ""):
            return problem
        if any(
            entry.kind is not Kind.WITHDRAW and entry.sets_alias and entry.sha256 == sha256
            for entry in entries
        ):
            return ""
        known = (str(part) for part in self.registry.versions(self.model) if part.sha256 == sha256)
        named = next(known, f"a {self.model} that is not registered")
        return f"No move of the audit made {named} (sha256 {sha256[:12]}) champion or canary"

    def wrong_tags(self) -> list[str]:
        """Return tags of traffic shares, overrides and exposure boosts that differ from the audit.

        Until an update is carried out, a tag may still have its earlier value.
        """
        entries, model_tags = self.audit.entries(), self.registry.model_tags(self.model)
        states, problems = [entries], list[str]()
        if is_pending(entries, model_tags):
            carried_out = find_row(entries, model_tags.get(CARRIED_OUT, ""))
            states.append(entries[: 0 if carried_out is None else carried_out + 1])
        boosts = [(changed := last_exposure(state)) and changed.boosts for state in states]
        if (tagged := model_tags.get(EXPOSURE_BOOSTS)) not in boosts:
            problems.append(f"The tag {EXPOSURE_BOOSTS} is {tagged!r}, and the audit sets another value")
        for part in self.registry.versions(self.model):
            meant, tags = [_meant_tags(state, part.version) for state in states], self.registry.tags(part)
            problems += [
                f"The tag {tag} of {part} is {tags.get(tag)!r}, and the audit sets {value!r}"
                for tag, value in meant[0].items()
                if tags.get(tag) not in {state[tag] for state in meant}
            ]
        return problems

    def _begin_anew(self, mismatch: Mismatch, entry: Entry | None) -> Entry | None:
        if entry is None:
            return None
        aside = self.audit.set_aside() or "nothing"
        first = replace(entry, replaces=f"{aside} was left of an audit: {mismatch.what}")
        return self.audit.add(lambda _: self._with_digests(first), announce=self._name_next)

    def _settle(self, *, strict: bool = False) -> dict[str, int]:
        """Set the aliases of the last update, also if a newer one is added meanwhile."""
        while (state := self._agreeing(strict=strict)).pending:
            self._carry_out(state)
        if state.mismatch is None:
            self._tag_rows(state.entries, state.tags)
        return dict(state.aliases)

    def _agreeing(self, *, strict: bool) -> AliasState:
        state = self._read()
        if (found := state.mismatch) and (strict or found.source is not MismatchSource.ALIASES):
            raise AuditMismatch(f"{found}.")
        return state

    def _carry_out(self, state: AliasState) -> None:
        """Set the aliases of the last update, then the tags that name it and the newest row."""
        entries, registry, move = state.entries, self.registry, last_alias_move(state.entries)
        if move is None:
            return
        meant, parts = meant_aliases(entries), {p.version: p for p in registry.versions(self.model)}
        for version in live_ramps(entries):
            own = _meant_tags(entries, version)
            registry.set_tags(parts[version], {tag: own[tag] for tag in _OF_CANARY if own[tag]})
        if move.override is not None:
            part = parts[move.release]
            registry.set_tags(part, {OVERRIDE: move.override})
            registry.describe(part, mark_overridden(registry.description(part), move.override))
        for alias, version in meant.items():
            registry.set_alias(parts[version], alias)
        for alias in [alias for alias in CANARIES if alias in state.aliases and alias not in meant]:
            registry.delete_alias(self.model, alias)
        ended = {entry.release for entry in entries if entry.kind is Kind.CANARY} - live_ramps(entries).keys()
        for version in ended & parts.keys():
            for tag in _OF_CANARY:
                registry.delete_tag(parts[version], tag)
        self._tag_rows(entries, state.tags)

    def _tag_rows(self, entries: Sequence[Entry], tags: Mapping[str, str]) -> None:
        """Set MLflow's tags to the last update and the newest row; remove announcements of earlier rows."""
        if not entries:
            return
        heads = AuditHeads.read(tags)
        named = {HEAD: str(self._newest(entries, heads))}
        if (move := last_alias_move(entries)) is not None:
            named[CARRIED_OUT] = name_row(entries, move.number)
        if (changed := last_exposure(entries)) is not None and changed.boosts is not None:
            named[EXPOSURE_BOOSTS] = changed.boosts
        for tag, value in named.items() - tags.items():
            self.registry.set_model_tag(self.model, tag, value)
        for tag in [tag for tag, one in heads.announced.items() if one.number < len(entries)]:
            self.registry.delete_model_tag(self.model, tag)

    def _newest(self, entries: Sequence[Entry], heads: AuditHeads) -> AuditHead:
        """Return the tag of the newest row; without a key in this process, with its existing signature."""
        number, seal = len(entries) - 1, seals_of(entries)[-1]
        named = AuditHead.of(self.model, number, seal, key=self.key)
        if named.signature is not None:
            return named
        known = [one for one in (heads.newest, *heads.announced.values()) if one is not None]
        return next((one for one in known if (one.number, one.seal) == (number, seal)), named)

    def _with_digests(self, entry: Entry | None) -> Entry | None:
        """Return a row with the digests of its releases."""
        if entry is None:
            return None
        there = {part.version: part.sha256 for part in self.registry.versions(self.model)}
        release = there.get(entry.release) or self.registry.part(self.model, entry.release).sha256
        champion = None if entry.champion is None else there.get(entry.champion)
        return replace(entry, sha256=entry.sha256 or release, champion_sha256=champion)


def meant_aliases(entries: Sequence[Entry]) -> dict[str, int]:
    """Return the aliases after some rows, in the order of setting; an alias not included has ended.

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
    move = last_move(entries)
    aliases: dict[str, int] = {}
    if move is not None:
        before = move.champion if move.kind is Kind.PROMOTE else move.release
        aliases = ({} if before is None else {PREVIOUS: before}) | {CHAMPION: move.release}
    return aliases | {CANARIES[ramp.pool.number - 1]: one for one, ramp in live_ramps(entries).items()}


def is_pending(entries: Sequence[Entry], tags: Mapping[str, str]) -> bool:
    """Return whether the last alias update was not carried out yet, so that the tag names the one before.

    There is no tag before the first update. Each update is carried out before the next is added, so a missing
    tag or one with an older update was changed by hand.
    """
    moves = [entry.number for entry in entries if entry.sets_alias]
    return bool(moves) and find_row(entries, tags.get(CARRIED_OUT, "")) == next(iter(moves[-2:-1]), None)


def served_releases(registry: Registry, model: str, entries: Sequence[Entry]) -> set[int]:
    """Return the former and current champions that the registry still contains with the same bytes."""
    digests = {part.version: part.sha256 for part in registry.versions(model)}
    moved = [release for entry in entries if entry.moves for release in _releases_of(entry)]
    return {version for version, sha256 in moved if version in digests and digests[version] == sha256}


def read_state(audit: Audit, registry: Registry, model: str, key: bytes | None) -> AliasState:
    """Read the registered model, then the audit's rows, and compare them."""
    tags, aliases = registry.tags_and_aliases(model)
    try:
        state = AliasState(audit.entries(), tags, aliases, None)
    except StoreError as error:
        return AliasState((), tags, aliases, _audit_mismatch(audit, str(error)))
    return replace(state, mismatch=_find_mismatch(audit, registry, model, key, state))


def _find_mismatch(
    audit: Audit, registry: Registry, model: str, key: bytes | None, state: AliasState
) -> Mismatch | None:
    entries, tags = state.entries, state.tags
    if problem := next(_audit_problems(audit, entries, tags), ""):
        return _audit_mismatch(audit, problem)
    if (entries or registry.versions(model)) and (
        problem := next(_unbelieved(audit, model, entries, tags, key), "")
    ):
        return _lost_mismatch(audit, problem)
    if problem := next(_foreign(registry, model, entries), ""):
        return _registry_mismatch(audit, registry, model, entries, problem)
    problem = next(_set_by_hand(model, state), "")
    return _by_hand(audit, problem) if problem else None


def _meant_tags(entries: Sequence[Entry], version: int) -> dict[str, str | None]:
    """Return the tags of a release with its traffic share and its override."""
    ramp = live_ramps(entries).get(version)
    share, pool = (None, None) if ramp is None else (ramp.newest.share, ramp.newest.pool)
    over = (e.override for e in reversed(entries) if e.sets_alias and e.override and e.release == version)
    shared = None if share is None else str(share)
    return {CANARY_SHARE: shared, CANARY_POOL: pool, OVERRIDE: next(over, None)}


def _releases_of(move: Entry) -> Iterator[tuple[int, str | None]]:
    """Yield the version and the digest of each release of an update."""
    yield move.release, move.sha256
    if move.champion is not None:
        yield move.champion, move.champion_sha256


def _audit_problems(audit: Audit, entries: Sequence[Entry], tags: Mapping[str, str]) -> Iterator[str]:
    for problem in broken_entries(entries).values():
        yield f"The audit {audit.path} is not what was written: {problem}"
    newest = AuditHead.read(tags.get(HEAD, tags.get(CARRIED_OUT, "")))
    if newest is not None and not newest.names(seals_of(entries)):
        yield (
            f"The audit {audit.path} has {len(entries)} rows, and none of them is the row that MLflow names "
            f"({newest.number} {newest.seal[:12]}): rows were lost or changed"
        )


def _unbelieved(
    audit: Audit, model: str, entries: Sequence[Entry], tags: Mapping[str, str], key: bytes | None
) -> Iterator[str]:
    """Yield why the registry's tags contradict the audit of a surface that has releases."""
    heads = AuditHeads.read(tags)
    signed = heads.signed(model, key=key)
    if not entries and heads.newest is None:
        yield f"The registry holds releases of {audit.surface}, and its audit {audit.path} is lost"
    if key is not None and signed.newest is None:
        what = f"The tag {HEAD} of {model} is not signed with this process's audit key"
        yield f"{what}, so the audit {audit.path} cannot be believed"
    if heads.newest is not None:
        yield from _unnamed_rows(model, entries, signed)


def _unnamed_rows(model: str, entries: Sequence[Entry], heads: AuditHeads) -> Iterator[str]:
    """Yield an error if a row was added only to the table, without a tag in the registry."""
    if (number := heads.find_unnamed_row(seals_of(entries))) is not None:
        known = "none" if heads.newest is None or heads.newest.number < 0 else f"row {heads.newest.number}"
        yield (
            f"No tag of {model} names row {number} of the audit, and {known} is the newest that one names: "
            "somebody else wrote it, or an older registry was restored"
        )


def _foreign(registry: Registry, model: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield differences between the registry and the releases of the last alias updates."""
    for move in filter(None, (last_move(entries), *(one.newest for one in live_ramps(entries).values()))):
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


def _set_by_hand(model: str, state: AliasState) -> Iterator[str]:
    """Yield tags that name no row of an intact audit, and aliases that differ from its updates."""
    entries, tags = state.entries, state.tags
    heads = {
        CARRIED_OUT: find_row(entries, tags.get(CARRIED_OUT, "")),
        HEAD: AuditHead.read(tags.get(HEAD, "")),
    }
    for tag, names in heads.items():
        if tag in tags and names is None:
            named = f"{tags[tag][:40]!r} names no row of the audit"
            yield f"Somebody set the tag {tag} of {model} by hand: {named}"
    if entries and HEAD not in tags:
        yield f"Somebody removed the tag {HEAD} of {model}, which names the newest row of the audit"
    known, meant = state.aliases, meant_aliases(entries)
    found: dict[str, int] = {alias: known[alias] for alias in _MOVED if alias in known}
    if is_pending(entries, tags):
        by_hand = not _is_midway(entries, found, carried_out=find_row(entries, tags.get(CARRIED_OUT, "")))
    else:
        by_hand = found != meant
    if by_hand:
        differ = f"In the registry, {_in_words(found)}; by the last audited move, {_in_words(meant)}"
        yield f"Somebody updated an alias of {model} by hand. {differ}"


def _is_midway(entries: Sequence[Entry], found: Mapping[str, int], *, carried_out: int | None) -> bool:
    """Return whether each alias equals its value after the last carried-out update or after the newest.

    A rollback may start from aliases that were changed by hand: its row contains the champion at that time.
    """
    move, after = last_alias_move(entries), meant_aliases(entries)
    before = meant_aliases(entries[: 0 if carried_out is None else carried_out + 1])
    aliases = [*_MOVED]
    if move is not None and move.kind is Kind.ROLLBACK:
        aliases = [] if found.get(CHAMPION) == move.champion else [CHAMPION]
    return all(found.get(alias) in {before.get(alias), after.get(alias)} for alias in aliases)


def _audit_mismatch(audit: Audit, problem: str) -> Mismatch:
    rollback = (
        f"`equipoise rollback {audit.surface} --to VERSION --why TEXT`, once: it sets what is left of it "
        "aside, and begins a new audit with that release"
    )
    way_out = f"Restore it from a backup; where there is none, {rollback}"
    return Mismatch(MismatchSource.AUDIT, problem, way_out)


def _lost_mismatch(audit: Audit, problem: str) -> Mismatch:
    restart = f"`equipoise audit restart {audit.surface} --why TEXT`"
    way_out = f"Restore audit and registry from a backup; where there is none, {restart} begins a new audit"
    return Mismatch(MismatchSource.LOST, problem, way_out)


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
