"""The aliases of a surface's releases: updated with an audit row first, verified against the audit.

::

    row announced -> row (refused when another was first) -> previous -> champion -> canaries -> tags

    canary     canary := the release, with its share of its pool's users, and the pool, as tags of its version
    promote    previous := the old champion    champion := the release                     canaries end
    rollback   previous := champion := the release that it goes back to                    canaries end
    withdraw                                                                               that canary ends

A process killed in between leaves an announced row that is ahead of the tags; the next process carries it
out, for the release with the row's digest only. Nothing is carried out while audit, registry and aliases
differ (see `read_state`): a rollback records which release is meant and repairs them.

    audit       cannot be read, is not what was written, or lacks rows that MLflow's tags name
    lost        there are releases and no audit, a row that no tag names, or, with a key, no signed tag
    registry    the release of the last move is missing, or another one has its number
    aliases     they are not what the last move set: somebody moved them by hand

The registered model carries tags: ``equipoise.moves`` names the last move that was carried out, of any alias,
``equipoise.audit`` the newest row (``tasks/stores/audit.py``). Who may write to MLflow may set them, so
they are looked up in the audit. The first release begins the audit; a surface with releases and neither rows
nor tags has lost it, and a person restarts it.
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
from tasks.stores.registry import Registry, mark_overridden

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
CANARY: Final = "canary"
CANARIES: Final = (CANARY, "canary_2", "canary_3", "canary_4")
"""The alias of the release that ramps in each pool of users, by the pool's number."""
CANARY_SHARE: Final = "canary_share"
"""The tag of a canary's version with its share of the users of its pool."""
CANARY_POOL: Final = "canary_pool"
"""The tag of a canary's version with its pool; without it, the pool is all users."""
EXPOSURE_BOOSTS: Final = "exposure_boosts"
"""The tag of the registered model with the boosts of groups, which servers give to the release."""
OVERRIDE: Final = "override"
"""The tag of a release that became champion or canary although gates held it: who overrode what, and why."""
CARRIED_OUT: Final = "equipoise.moves"
_MOVED: Final = (PREVIOUS, CHAMPION, *CANARIES)
_OF_CANARY: Final = (CANARY_SHARE, CANARY_POOL)

Decide = Callable[[tuple[Entry, ...], Mapping[str, int]], Entry | None]
"""Receives every row of the audit and the version by alias; returns the next row, or None for no row."""


class MismatchSource(StrEnum):
    """Which of the three is wrong; ``lost``: the audit, and a restart alone begins a new one."""

    AUDIT = "audit"
    LOST = "lost"
    REGISTRY = "registry"
    ALIASES = "aliases"


UNBELIEVED: Final = frozenset({MismatchSource.AUDIT, MismatchSource.LOST})
"""Where no row of the audit counts."""


@dataclass(frozen=True)
class Mismatch:
    """Which of audit, registry and aliases is wrong, how it differs, and what to do."""

    source: MismatchSource
    what: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.what}. {self.way_out}"


@dataclass(frozen=True)
class AliasState:
    """The tags and aliases of the registered model, the audit's rows, and how they differ.

    Tags and aliases are one read of the model, made before the rows are read. ``entries`` is empty where the
    audit cannot be read.
    """

    entries: tuple[Entry, ...]
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    mismatch: Mismatch | None

    @property
    def pending(self) -> bool:
        """Whether nothing differs but the last move, which was not carried out yet."""
        return self.mismatch is None and is_pending(self.entries, self.tags)


def release_name(surface: str) -> str:
    """Return the name of the registered model of a surface's releases."""
    return f"{surface}.release"


@dataclass(frozen=True)
class ReleaseAliases:
    """The aliases ``champion``, ``previous`` and those of canaries of one surface's releases.

    Parameters
    ----------
    audit : every move so far.
    registry : where the aliases are.
    key : signs the rows that MLflow names; None where the audit is not signed.
    """

    audit: Audit
    registry: Registry
    key: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def model(self) -> str:
        """The registered model of the surface's releases."""
        return release_name(self.audit.surface)

    def settle(self, *, strict: bool = False) -> dict[str, int]:
        """Carry out a move that a killed process left undone; return the version by alias.

        Parameters
        ----------
        strict : refuse any mismatch; by default, aliases that somebody moved by hand are returned.
        """
        with self.registry.exclusive():
            return self._settle(strict=strict)

    def mismatch(self) -> Mismatch | None:
        """Return how audit, registry and aliases differ; a move not yet carried out is no difference."""
        return self._read().mismatch

    def _read(self) -> AliasState:
        """Read and compare; a mismatch is read twice, since another process may be in the midst of a move."""
        state = read_state(self.audit, self.registry, self.model, self.key)
        if state.mismatch is None:
            return state
        return read_state(self.audit, self.registry, self.model, self.key)

    def served(self) -> set[int]:
        """Return the releases that were champion and are still in the registry with the same bytes."""
        return served_releases(self.registry, self.model, self.audit.entries())

    def boosts(self, before: datetime | None = None) -> Boosts:
        """Return the boosts of groups that were in force at an instant, by default those of now."""
        return boosts_of(last_exposure(self.audit.entries(), before))

    def add(self, decide: Decide) -> Entry | None:
        """Add the row that ``decide`` returns, and carry it out where it is a move."""
        with self.registry.exclusive():
            added = self.audit.add(
                lambda entries: self._with_digests(decide(entries, self._settle())), announce=self.announce
            )
            self._settle()
            return added

    def begin(self) -> None:
        """Begin the audit of a surface that has no release yet, where that is not done."""
        begun = AuditHead.begun(self.model, key=self.key)
        self.registry.make_model(self.model, {HEAD: str(begun)})

    def restart(self, *, why: str, by: str) -> Entry:
        """Begin the audit anew where it cannot be believed; rows that only lack a signature are kept."""
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
        """Whether the newest row is the one that the registry names, so that only a signature is missing."""
        try:
            entries = self.audit.entries()
        except StoreError:
            return False
        newest = AuditHeads.read(self.registry.model_tags(self.model)).newest
        if newest is None or not entries or broken_entries(entries):
            return False
        return (newest.number, newest.seal) == (entries[-1].number, entries[-1].seal)

    def announce(self, row: Entry) -> None:
        """Let MLflow name a row that is about to be added, so that it counts; see `audit_head`."""
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
        """Add the move that ``decide`` returns and carry it out, also where audit and registry differ.

        An audit that is not what was written is set aside first, and the move begins a new one.
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
        """Return why the audit does not verify a release; empty where it does.

        A release is verified where the audit is what was written, by the registry's tags too, and one of its
        moves made these very bytes champion or canary.
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
        """Return how a tag by which servers share traffic, or that shows an override, is not the audit's.

        While a move is not carried out, a tag may be as it was before the move.
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
        """Set the aliases of the last move, also where a newer one comes in between."""
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
        """Set the aliases of the last move, then the tags that name it and the newest row."""
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
        """Let MLflow's tags name the last move and the newest row, and announce no row before it."""
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
        """Name the newest row; where this process has no key, by the signature that it has already."""
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
    move = last_move(entries)
    aliases: dict[str, int] = {}
    if move is not None:
        before = move.champion if move.kind is Kind.PROMOTE else move.release
        aliases = ({} if before is None else {PREVIOUS: before}) | {CHAMPION: move.release}
    return aliases | {CANARIES[ramp.pool.number - 1]: one for one, ramp in live_ramps(entries).items()}


def is_pending(entries: Sequence[Entry], tags: Mapping[str, str]) -> bool:
    """Return whether the last move of an alias was not carried out yet: the tag names the move before it.

    There is no tag before the first move. Each move is carried out before the next is added, so where the tag
    is gone or names an older move, somebody set it.
    """
    moves = [entry.number for entry in entries if entry.sets_alias]
    return bool(moves) and find_row(entries, tags.get(CARRIED_OUT, "")) == next(iter(moves[-2:-1]), None)


def served_releases(registry: Registry, model: str, entries: Sequence[Entry]) -> set[int]:
    """Return the releases that were champion and are still in the registry with the same bytes."""
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
    """Return the tags of a release by which servers share traffic, or that show an override."""
    ramp = live_ramps(entries).get(version)
    share, pool = (None, None) if ramp is None else (ramp.newest.share, ramp.newest.pool)
    over = (e.override for e in reversed(entries) if e.sets_alias and e.override and e.release == version)
    shared = None if share is None else str(share)
    return {CANARY_SHARE: shared, CANARY_POOL: pool, OVERRIDE: next(over, None)}


def _releases_of(move: Entry) -> Iterator[tuple[int, str | None]]:
    """Yield the version and the digest of each release of a move."""
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
    """Yield why an audit cannot be believed by the registry's tags; a surface with it has releases."""
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
    """Yield that a row was added to the table alone: no tag of the registry names it."""
    if (number := heads.find_unnamed_row(seals_of(entries))) is not None:
        known = "none" if heads.newest is None or heads.newest.number < 0 else f"row {heads.newest.number}"
        yield (
            f"No tag of {model} names row {number} of the audit, and {known} is the newest that one names: "
            "somebody else wrote it, or an older registry was restored"
        )


def _foreign(registry: Registry, model: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield how a release that the last moves give an alias is not the registry's."""
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
    """Yield which tag names no row of an audit that is whole, and which aliases differ from its moves."""
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
        yield f"Somebody moved an alias of {model} by hand. {differ}"


def _is_midway(entries: Sequence[Entry], found: Mapping[str, int], *, carried_out: int | None) -> bool:
    """Return whether each alias is as the last carried-out move left it, or as the newest sets it.

    A rollback may begin where somebody moved aliases by hand: its row holds what was champion then.
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
        "aside, and begins a new audit with the release that it goes to"
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
