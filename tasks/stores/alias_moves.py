"""Moving aliases: the audit row first, then the aliases; of two moves at once exactly one wins.

::

    audit row (refused when another was first)  ->  previous  ->  champion  ->  canary  ->  tags of both

    canary     canary := the release, with its share of the traffic as a tag of its version
    promote    previous := the old champion    champion := the release                     canary ends
    rollback   previous := champion := the release that it goes back to                    canary ends
    withdraw                                                                               canary ends

A process that is killed in between leaves a row that is ahead of the tags; whoever comes next carries it out,
for the release with the row's digest alone. Where audit and registry do not tell the same nothing is carried
out (``tasks/stores/alias_mismatch.py``): a rollback records which release is meant, and puts it right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tasks.errors import AuditMismatch, ContractError
from tasks.settings import Settings
from tasks.stores.alias_mismatch import (
    CANARY,
    CARRIED_OUT,
    CHAMPION,
    HEAD,
    PREVIOUS,
    Mismatch,
    Told,
    find_mismatch,
    is_pending,
    meant_aliases,
    name_row,
    served_releases,
)
from tasks.stores.audit import Audit, entry_seals
from tasks.stores.audit_history import last_alias_move, live_canary
from tasks.stores.audit_row import Entry, Kind
from tasks.stores.audit_signature import SIGNED, sign_head
from tasks.stores.registry import Registry

__all__ = ["CANARY", "CANARY_SHARE", "CHAMPION", "OVERRIDE", "PREVIOUS", "AliasMoves", "Mismatch", "Told"]

CANARY_SHARE: Final = "canary_share"
"""The tag of a canary's version that says which share of the traffic whoever serves gives it."""
OVERRIDE: Final = "override"
"""The tag of a release that became champion or canary although gates held it: who overrode what, and why."""


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


def release_name(surface: str) -> str:
    """Return the name of the registered model of a surface's releases."""
    return f"{surface}.release"


Decide = Callable[[tuple[Entry, ...], Mapping[str, int]], Entry | None]
"""Sees every row of the audit and the version by alias; returns the next row, or None where there is none."""


@dataclass(frozen=True)
class AliasMoves:
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
            The audit cannot be believed, or the registry is younger than it.
        """
        with self.registry.exclusive():
            return self._settle()

    def mismatch(self) -> Mismatch | None:
        """Say how audit, registry and aliases differ, but for a move that is still to be carried out."""
        return find_mismatch(self.audit, self.registry, self.model)

    def served(self) -> set[int]:
        """Return the releases that were champion and are in the registry as what they were then."""
        return served_releases(self.registry, self.model, self.audit.entries())

    def add(self, decide: Decide) -> Entry | None:
        """Add the row that is decided on, and carry it out where it is a move.

        Parameters
        ----------
        decide : asked anew when another row was first.

        Raises
        ------
        StoreError
            Others kept being first.
        AuditMismatch
            Audit and registry do not tell the same.
        """
        with self.registry.exclusive():
            added = self.audit.add(lambda entries: self._identified(decide(entries, self._settle())))
            self._settle()
            return added

    def mend(self, decide: Decide) -> Entry | None:
        """Add the move that is decided on and carry it out, whatever of audit and registry does not agree.

        An audit that cannot be believed is set aside first, and the move begins a new one.
        """
        with self.registry.exclusive():
            mismatch, registry = self.mismatch(), self.registry
            if mismatch is not None and mismatch.of is Told.AUDIT:
                added = self._begin_anew(mismatch, decide((), registry.aliases(self.model)))
            else:
                added = self.audit.add(
                    lambda entries: self._identified(decide(entries, registry.aliases(self.model)))
                )
            if added is not None:
                self._carry_out(registry, self.audit.entries())
            return added

    def _begin_anew(self, mismatch: Mismatch, entry: Entry | None) -> Entry | None:
        if entry is None:
            return None
        aside = self.audit.set_aside() or "nothing"
        first = replace(entry, replaces=f"{aside} was left of an audit: {mismatch.what}")
        return self.audit.add(lambda _: self._identified(first))

    def _settle(self) -> dict[str, int]:
        """Let the aliases mean what the last move says, also where a newer one comes in between."""
        registry = self.registry
        mismatch = self.mismatch()
        if mismatch is not None and mismatch.of in {Told.AUDIT, Told.REGISTRY}:
            raise AuditMismatch(f"{mismatch}.")
        entries = self.audit.entries()
        while mismatch is None and is_pending(entries, registry.model_tags(self.model)):
            self._carry_out(registry, entries)
            entries = self.audit.entries()
        if mismatch is None:
            if (move := last_alias_move(entries)) is not None:
                self._tag(registry, CARRIED_OUT, entries, move.number)
            self._tag(registry, HEAD, entries, len(entries) - 1)
            self._sign(registry, entries)
        return registry.aliases(self.model)

    def _carry_out(self, registry: Registry, entries: Sequence[Entry]) -> None:
        """Set the aliases that the last move says, then the tags that name it and the newest row."""
        if (move := last_alias_move(entries)) is None:
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
        self._tag(registry, CARRIED_OUT, entries, move.number)
        self._tag(registry, HEAD, entries, len(entries) - 1)

    def _tag(self, registry: Registry, tag: str, entries: Sequence[Entry], number: int) -> None:
        if not entries or registry.model_tags(self.model).get(tag) == name_row(entries, number):
            return
        registry.client.set_registered_model_tag(self.model, tag, name_row(entries, number))

    def sign(self) -> Entry:
        """Vouch for every row of an audit whose chain holds, with the key of this program; return the newest.

        Raises
        ------
        ContractError
            There is no key, or no row.
        AuditMismatch
            Audit, registry and aliases do not tell the same.
        """
        if Settings().audit_key is None:
            raise ContractError("There is no key to sign with: set EQUIPOISE_AUDIT_KEY")
        with self.registry.exclusive():
            mismatch, entries = self.mismatch(), self.audit.entries()
            if mismatch is not None and mismatch.of is not Told.SIGNATURE:
                raise AuditMismatch(f"{mismatch}.")
            if not entries:
                raise ContractError(f"The audit of {self.audit.surface} has no row to sign")
            self._sign(self.registry, entries)
            return entries[-1]

    def doubt(self, sha256: str) -> str:
        """Say why the audit does not vouch for a release; empty where it does.

        It does where its chain holds, it is signed where this program has the key, and a move that it tells
        of made these very bytes champion or canary.

        Parameters
        ----------
        sha256 : digest of the release's files.
        """
        mismatch = self.mismatch()
        if mismatch is not None and mismatch.of in {Told.AUDIT, Told.SIGNATURE}:
            return str(mismatch)
        served = any(
            entry.kind is not Kind.WITHDRAW and entry.sets_alias and entry.sha256 == sha256
            for entry in self.audit.entries()
        )
        if served:
            return ""
        known = (str(part) for part in self.registry.versions(self.model) if part.sha256 == sha256)
        named = next(known, f"a {self.model} that is not registered")
        return f"No move of the audit made {named} (sha256 {sha256[:12]}) champion or canary"

    def _sign(self, registry: Registry, entries: Sequence[Entry]) -> None:
        """Let MLflow say by a signature up to which row this program has seen the audit whole."""
        key, number = Settings().audit_key, len(entries) - 1
        if key is None or not entries:
            return
        head = sign_head(self.model, number, entry_seals(entries)[number], key=key)
        if registry.model_tags(self.model).get(SIGNED) != head:
            registry.client.set_registered_model_tag(self.model, SIGNED, head)

    def _identified(self, entry: Entry | None) -> Entry | None:
        """Write down by which bytes the releases of a row are known."""
        if entry is None:
            return None
        registry = self.registry
        release = registry.part(self.model, entry.release)
        there = {part.version: part.sha256 for part in registry.versions(self.model)}
        champion = None if entry.champion is None else there.get(entry.champion)
        return replace(entry, sha256=entry.sha256 or release.sha256, champion_sha256=champion)
