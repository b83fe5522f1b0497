"""Moving ``champion``: the audit row first, then the aliases; of two moves at once exactly one wins.

::

    audit row (refused when another was first)  ->  previous  ->  champion  ->  tag equipoise.moves

    promote    previous := the old champion    champion := the release
    rollback   previous := champion := the release that it goes back to

The tag holds the number of the last move that was carried out. A process that is killed in between leaves a
row that is ahead of the tag; whoever comes next carries it out. Where tag and row agree and the aliases are
others, somebody moved them by hand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.stores.audit import Audit, Entry, Kind
from tasks.stores.registry import Registry
from tasks.stores.tracking import exclusive

CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
_CARRIED_OUT: Final = "equipoise.moves"


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
        """Carry out a move that a killed process left undone; return the version by alias."""
        with exclusive(self.home):
            return self._settle()

    def by_hand(self) -> str:
        """Say how the aliases differ from the last move; empty where they agree.

        A move that was not carried out yet is no difference.
        """
        registry, last = Registry(self.home), self.audit.last_move()
        if last is not None and _carried_out(registry, self.model) < last.number:
            return ""
        return _difference(last, registry.aliases(self.model))

    def move(self, decide: Callable[[tuple[Entry, ...], Mapping[str, int]], Entry | None]) -> Entry | None:
        """Add the move that is decided on and carry it out.

        Parameters
        ----------
        decide : sees every row of the audit and the version by alias, and returns the move, or None where
            nothing is to be done. It is asked anew when another row was first.

        Raises
        ------
        StoreError
            Others kept being first.
        """
        with exclusive(self.home):
            added = self.audit.add(lambda entries: decide(entries, self._settle()))
            self._settle()
            return added

    def _settle(self) -> dict[str, int]:
        """Let the aliases mean what the last move says, also where a newer one comes in between."""
        registry = Registry(self.home)
        while (last := self.audit.last_move()) and last.number > _carried_out(registry, self.model):
            for alias, version in _meant(last).items():
                registry.set_alias(registry.part(self.model, version), alias)
            registry.client.set_registered_model_tag(self.model, _CARRIED_OUT, str(last.number))
        return registry.aliases(self.model)


def _meant(move: Entry) -> dict[str, int]:
    """Return the aliases after a move, in the order in which they are set.

    Examples
    --------
    >>> _meant(Entry(Kind.PROMOTE, "ana", release=3, champion=2, why="better"))
    {'previous': 2, 'champion': 3}
    >>> _meant(Entry(Kind.ROLLBACK, "ana", release=2, champion=3, why="returns rose"))
    {'previous': 2, 'champion': 2}
    """
    before = move.champion if move.kind is Kind.PROMOTE else move.release
    return ({} if before is None else {PREVIOUS: before}) | {CHAMPION: move.release}


def _carried_out(registry: Registry, model: str) -> int:
    """Return the number of the last move that was carried out, -1 where there was none."""
    return int(registry.model_tags(model).get(_CARRIED_OUT, -1))


def _difference(last: Entry | None, aliases: Mapping[str, int]) -> str:
    found = {alias: aliases[alias] for alias in (PREVIOUS, CHAMPION) if alias in aliases}
    meant = {} if last is None else _meant(last)
    if found == meant:
        return ""
    return f"The registry says {_said(found)}; by the last audited move it is {_said(meant)}"


def _said(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} = {version}" for alias, version in aliases.items()) or "no champion"
