"""The rollback step: champion becomes again what it was, with a reason; no gate stands in the way."""

from collections.abc import Mapping, Sequence

from tasks.errors import ContractError, StoreError
from tasks.promotion.promote import MoveResult
from tasks.release.view import verify_bytes
from tasks.stores.alias_moves import CHAMPION, PREVIOUS
from tasks.stores.audit import Entry, Kind
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.releases import VERDICT, alias_moves, release_part
from tasks.stores.workspace import Workspace


def run(workspace: Workspace, *, why: str, by: str, to: str | None = None, asked_by: str = "") -> MoveResult:
    """Let the previous champion be the champion again; a second time changes nothing.

    Parameters
    ----------
    why : the reason, kept in the audit.
    by : who moves it.
    to : another release that was champion before; by default ``previous``. Where somebody moved an alias by
        hand it may also be the release that the alias means now, which records the move.
    asked_by : the Airflow run, which moves an alias at most once.

    Raises
    ------
    ContractError
        There is no such release or reason, or the release was never champion.
    StoreError
        A byte of it is not what was registered.
    """
    if not why.strip():
        raise ContractError("A rollback needs a reason: say why")
    moves = alias_moves(workspace)
    aliases = moves.settle()
    if to is None and PREVIOUS not in aliases:
        raise ContractError(
            f"{workspace.surface} has no previous release to go back to. Say with --to VERSION which one "
            "that was champion is meant"
        )
    part, by_hand = release_part(workspace, to or PREVIOUS), moves.by_hand()
    if to is None and by_hand:
        raise StoreError(f"{by_hand}. Say with --to VERSION which release is meant to be champion")
    _refuse_strangers(workspace, part, moves.audit.entries(), aliases, by_hand=bool(by_hand))
    if problems := verify_bytes(workspace, part).problems:
        raise StoreError(f"{part} is not whole: {problems[0]}")

    def decide(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        if asked_by and any(entry.moves and entry.run == asked_by for entry in entries):
            return None
        if aliases.get(CHAMPION) == part.version and not moves.by_hand():
            return None
        return Entry(Kind.ROLLBACK, by, part.version, aliases.get(CHAMPION), why.strip(), run=asked_by)

    moved = moves.move(decide)
    return MoveResult(moves.settle()[CHAMPION], moved)


def _refuse_strangers(
    workspace: Workspace, part: Part, entries: Sequence[Entry], aliases: Mapping[str, int], *, by_hand: bool
) -> None:
    """Refuse to go back to what never served: that would be a promotion without gates."""
    served = {entry.release for entry in entries if entry.moves}
    served |= {entry.champion for entry in entries if entry.moves and entry.champion is not None}
    if part.version in served:
        return
    if not (by_hand and part.version in aliases.values()):
        raise ContractError(
            f"{part} was never champion, so there is no going back to it. `equipoise promote` is the way"
        )
    if Registry(workspace.home).tags(part).get(VERDICT) != "promote":
        raise ContractError(f"{part} was not let through by its gates: it cannot stay champion")
