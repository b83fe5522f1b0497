"""Moving ``champion``: the audit row first, then the aliases; of two moves at once exactly one wins.

::

    audit row (refused when another was first)  ->  previous  ->  champion  ->  tags of both

    promote    previous := the old champion    champion := the release
    rollback   previous := champion := the release that it goes back to

A process that is killed in between leaves a row that is ahead of the tags; whoever comes next carries it out,
for the release with the row's digest alone. Where audit and registry do not tell the same nothing is carried
out (``tasks/stores/alias_mismatch.py``): a rollback records which release is meant, and puts it right.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import StoreError
from tasks.stores.alias_mismatch import (
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
from tasks.stores.audit import Audit, Entry, last_move
from tasks.stores.registry import Registry
from tasks.stores.tracking import exclusive

__all__ = ["CHAMPION", "PREVIOUS", "AliasMoves", "Mismatch", "Told"]

Decide = Callable[[tuple[Entry, ...], Mapping[str, int]], Entry | None]
"""Sees every row of the audit and the version by alias; returns the next row, or None where there is none."""


@dataclass(frozen=True)
class AliasMoves:
    """The aliases ``champion`` and ``previous`` of one surface's releases.

    Parameters
    ----------
    home : where the audit and, without a server, the registry lie.
    model : the registered model of the surface's releases.
    """

    home: Path
    surface: str
    model: str

    @property
    def audit(self) -> Audit:
        """Every move so far."""
        return Audit(self.home, self.surface)

    def settle(self) -> dict[str, int]:
        """Carry out a move that a killed process left undone; return the version by alias.

        Raises
        ------
        StoreError
            The audit cannot be believed, or the registry is younger than it.
        """
        with exclusive(self.home):
            return self._settle()

    def mismatch(self) -> Mismatch | None:
        """Say how audit, registry and aliases differ, but for a move that is still to be carried out."""
        return find_mismatch(self.audit, Registry(self.home), self.model)

    def served(self) -> set[int]:
        """Return the releases that were champion and are in the registry as what they were then."""
        return served_releases(Registry(self.home), self.model, self.audit.entries())

    def add(self, decide: Decide) -> Entry | None:
        """Add the row that is decided on, and carry it out where it is a move.

        Parameters
        ----------
        decide : asked anew when another row was first.

        Raises
        ------
        StoreError
            Others kept being first, or audit and registry do not tell the same.
        """
        with exclusive(self.home):
            added = self.audit.add(lambda entries: self._identified(decide(entries, self._settle())))
            self._settle()
            return added

    def mend(self, decide: Decide) -> Entry | None:
        """Add the move that is decided on and carry it out, whatever of audit and registry does not agree.

        An audit that cannot be believed is set aside first, and the move begins a new one.
        """
        with exclusive(self.home):
            mismatch, registry = self.mismatch(), Registry(self.home)
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
        registry = Registry(self.home)
        mismatch = self.mismatch()
        if mismatch is not None and mismatch.of is not Told.ALIASES:
            raise StoreError(f"{mismatch}.")
        entries = self.audit.entries()
        while mismatch is None and is_pending(last_move(entries), entries, registry.model_tags(self.model)):
            self._carry_out(registry, entries)
            entries = self.audit.entries()
        if mismatch is None:
            self._tag(registry, HEAD, entries, len(entries) - 1)
        return registry.aliases(self.model)

    def _carry_out(self, registry: Registry, entries: Sequence[Entry]) -> None:
        """Set the aliases that the last move says, then the tags that name it and the newest row."""
        if (move := last_move(entries)) is None:
            return
        for alias, version in meant_aliases(move).items():
            registry.set_alias(registry.part(self.model, version), alias)
        self._tag(registry, CARRIED_OUT, entries, move.number)
        self._tag(registry, HEAD, entries, len(entries) - 1)

    def _tag(self, registry: Registry, tag: str, entries: Sequence[Entry], number: int) -> None:
        if not entries or registry.model_tags(self.model).get(tag) == name_row(entries, number):
            return
        registry.client.set_registered_model_tag(self.model, tag, name_row(entries, number))

    def _identified(self, entry: Entry | None) -> Entry | None:
        """Write down by which bytes the releases of a row are known."""
        if entry is None:
            return None
        registry = Registry(self.home)
        release = registry.part(self.model, entry.release)
        there = {part.version: part.sha256 for part in registry.versions(self.model)}
        champion = None if entry.champion is None else there.get(entry.champion)
        return replace(entry, sha256=entry.sha256 or release.sha256, champion_sha256=champion)
