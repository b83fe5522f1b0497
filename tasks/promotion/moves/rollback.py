"""The rollback step: champion becomes again what it was, with a reason; no gate stands in the way.

Where canaries serve, those are the newest moves, so going back ends them and leaves the champion as it is: a
row for each. ``--to`` names another release that served: it becomes champion again, and no canary is left.

It is the way out where audit, registry and aliases do not tell the same, so it needs only what is left: an
audit that cannot be believed is set aside, and the move begins a new one.
"""

from collections.abc import Collection, Mapping, Sequence

from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.promotion.moves.promote import MoveResult
from tasks.promotion.provenance import recorded_verdict
from tasks.release.view import verify_bytes
from tasks.stores.aliases import CANARIES, CHAMPION, PREVIOUS, Mismatch, MismatchSource, ReleaseAliases
from tasks.stores.audit import Entry, Kind, last_alias_move, live_ramps, one_line
from tasks.stores.parts import Part
from tasks.stores.workspace import Workspace


def run(
    workspace: Workspace,
    *,
    why: str,
    by: str,
    to: str | None = None,
    canary: int | None = None,
    asked_by: str = "",
) -> MoveResult:
    """Let the previous champion be the champion again; a second time changes nothing.

    Parameters
    ----------
    why : the reason, kept in the audit.
    by : who moves it.
    to : another release that was champion before; by default ``previous``, or the champion where a canary
        serves beside it. Where an alias was moved by hand or the audit cannot be believed, it may also be
        what ``champion`` or ``previous`` mean now.
    canary : of several canaries, the only one to end.
    asked_by : the Airflow run, which moves an alias at most once.
    """
    if not why.strip():
        raise ContractError("A rollback needs a reason: say why")
    by, why = one_line("by", by), one_line("why", why)
    moves = workspace.aliases
    mismatch = moves.mismatch()
    if mismatch is not None and mismatch.source is MismatchSource.LOST:
        raise AuditMismatch(f"{mismatch}.")
    aliases = moves.settle() if mismatch is None else workspace.store.registry.aliases(moves.model)
    canaries = _canaries(aliases, to=to, canary=canary)
    if mismatch is None and canaries:
        to = to or CHAMPION
    elif mismatch is None and _ended_so(moves.audit.entries(), by=by, why=why, to=to, asked_by=asked_by):
        return MoveResult(aliases[CHAMPION], None)
    _refuse_unsaid(workspace, to, aliases, mismatch)
    part = workspace.releases.part(to or PREVIOUS)
    _refuse_strangers(workspace, part, aliases, mismatch)
    if problems := verify_bytes(workspace, part).problems:
        others = _say_others(moves, {part.version, aliases.get(CHAMPION)}, mismatch)
        raise StoreError(f"{part} is not whole: {problems[0].removesuffix('.')}. {others}")

    def decide(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        champion = aliases.get(CHAMPION)
        of_run = [row.number for row in entries if asked_by and row.sets_alias and row.run == asked_by]
        if champion == part.version and moves.mismatch() is None:
            ending = _first_to_end(entries, canary, before=of_run[0] if of_run else len(entries))
            return None if ending is None else Entry(Kind.WITHDRAW, by, ending, champion, why, run=asked_by)
        if of_run:
            return None
        return Entry(Kind.ROLLBACK, by, part.version, champion, why, run=asked_by, sha256=part.sha256)

    rows = [moves.mend(decide)]
    while (newest := rows[-1]) is not None and newest.kind is Kind.WITHDRAW:
        rows.append(moves.mend(decide))
    made = [row for row in rows if row is not None]
    ended = tuple(row.release for row in made if row.kind is Kind.WITHDRAW)
    return MoveResult(moves.settle()[CHAMPION], made[-1] if made else None, ended=ended)


def _first_to_end(entries: Sequence[Entry], canary: int | None, *, before: int) -> int | None:
    """Return the first release that ramps, or the canary that is named, if its ramp began before a row."""
    live = live_ramps(entries).items()
    return next((n for n, ramp in live if ramp.stages[0].number < before and canary in {None, n}), None)


def _canaries(aliases: Mapping[str, int], *, to: str | None, canary: int | None) -> set[int]:
    """Return the releases that ramp; refuse to end one that does not, or one and the champion."""
    canaries = {aliases[alias] for alias in CANARIES if alias in aliases}
    if canary is not None and to is not None:
        raise ContractError("--to and --canary exclude each other: going to a release ends every canary")
    if canary is not None and canary not in canaries:
        known = ", ".join(map(str, sorted(canaries))) or "none"
        raise ContractError(f"Release {canary} is not a canary. Canaries: {known}")
    return canaries


def _ended_so(entries: Sequence[Entry], *, by: str, why: str, to: str | None, asked_by: str) -> bool:
    """Whether the newest move ended a canary in these very words: typed twice, or a kill hid the end."""
    move = last_alias_move(entries)
    if move is None or move.kind is not Kind.WITHDRAW or to not in {None, CHAMPION}:
        return False
    return (move.by, move.why, move.run) == (by, why, asked_by)


def _refuse_unsaid(
    workspace: Workspace, to: str | None, aliases: Mapping[str, int], mismatch: Mismatch | None
) -> None:
    """Refuse to take ``previous`` for granted where there is none, or where somebody may have moved it."""
    if to is not None:
        return
    if mismatch is not None and mismatch.source is not MismatchSource.AUDIT:
        raise AuditMismatch(f"{mismatch.what}. Say with --to VERSION which release is meant to be champion")
    if PREVIOUS not in aliases:
        raise ContractError(
            f"{workspace.surface} has no previous release to go back to. Name a release that was champion "
            "before: --to VERSION"
        )


def _say_others(moves: ReleaseAliases, but: Collection[int | None], mismatch: Mismatch | None) -> str:
    """Say which releases are left to go back to, by what can be believed."""
    unbelieved = mismatch is not None and mismatch.source is MismatchSource.AUDIT
    others = [] if unbelieved else sorted(moves.served().difference(but))
    if not others:
        return "Bring it back from a backup: no other release that served is known"
    named = " or ".join(map(str, others))
    return (
        f"Bring it back from a backup, or go back to release {named}, which served, with "
        f"`equipoise rollback {moves.audit.surface} --to VERSION --why TEXT`"
    )


def _refuse_strangers(
    workspace: Workspace, part: Part, aliases: Mapping[str, int], mismatch: Mismatch | None
) -> None:
    """Refuse to go back to what never served: that would be a promotion without gates."""
    source = None if mismatch is None else mismatch.source
    if source is not MismatchSource.AUDIT and part.version in workspace.aliases.served():
        return
    serving = {aliases.get(alias) for alias in (CHAMPION, PREVIOUS)}
    if source not in {MismatchSource.AUDIT, MismatchSource.ALIASES} or part.version not in serving:
        raise ContractError(
            f"{part} was never champion, so there is no going back to it. `equipoise promote` is the way"
        )
    if recorded_verdict(workspace, part.version) != "promote":
        raise ContractError(f"{part} was not let through by its gates: it cannot stay champion")
