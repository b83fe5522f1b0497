"""The rollback step: restore the previous champion, with a reason; no gate is evaluated.

While canaries serve, they are the newest alias updates: a rollback ends them and keeps the champion, with one
audit row for each. ``--to`` names another release that has served; it becomes champion and every canary ends.

A rollback also recovers from a mismatch of audit log, registry and aliases, so it needs only what remains: an
invalid audit log is set aside, and the rollback begins a new one.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from tasks.errors import AuditMismatch, ContractError, StoreError
from tasks.promotion.moves.promote import MoveResult
from tasks.promotion.provenance import recorded_verdict
from tasks.release.view import verify_bytes
from tasks.stores.aliases import CANARIES, CHAMPION, PREVIOUS, Mismatch, MismatchSource, ReleaseAliases
from tasks.stores.audit import Entry, Kind, last_alias_move, live_ramps, one_line
from tasks.stores.manifest import Part
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
    """Restore the previous champion; a repeated call changes nothing.

    Parameters
    ----------
    why : reason, recorded in the audit log.
    by : the actor.
    to : another release that was champion; default: ``previous``, or the champion while a canary serves. If
        aliases were changed by hand or the audit log is invalid, the current ``champion`` or ``previous`` is
        permitted too.
    canary : the only canary to end, if there are several.
    asked_by : the Airflow run, which updates an alias at most once.
    """
    if not why.strip():
        raise ContractError("A rollback needs a reason (why)")
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
    part = _restorable_release(workspace, to, aliases, mismatch)

    def decide(entries: tuple[Entry, ...], aliases: Mapping[str, int]) -> Entry | None:
        champion = aliases.get(CHAMPION)
        of_run = [row.number for row in entries if asked_by and row.sets_alias and row.run == asked_by]
        if champion == part.version and moves.mismatch() is None:
            ending = _first_to_end(entries, canary, before=of_run[0] if of_run else len(entries))
            return None if ending is None else Entry(Kind.WITHDRAW, by, ending, champion, why, run=asked_by)
        if of_run:
            return None
        return Entry(Kind.ROLLBACK, by, part.version, champion, why, run=asked_by, sha256=part.sha256)

    made = list(_add_updates(partial(moves.mend, decide)))
    ended = tuple(row.release for row in made if row.kind is Kind.WITHDRAW)
    return MoveResult(moves.settle()[CHAMPION], made[-1] if made else None, ended=ended)


def _add_updates(update: Callable[[], Entry | None]) -> Iterator[Entry]:
    """Add updates and yield them, until one ends no canary or none is left."""
    while (row := update()) is not None:
        yield row
        if row.kind is not Kind.WITHDRAW:
            return


def _first_to_end(entries: Sequence[Entry], canary: int | None, *, before: int) -> int | None:
    """Return the first release in a ramp, or the given canary, if its ramp began before a row."""
    live = live_ramps(entries).items()
    return next((n for n, ramp in live if ramp.stages[0].number < before and canary in {None, n}), None)


def _canaries(aliases: Mapping[str, int], *, to: str | None, canary: int | None) -> set[int]:
    """Return the releases in a ramp; raise ContractError if ``canary`` is not one or ``to`` is given too."""
    canaries = {aliases[alias] for alias in CANARIES if alias in aliases}
    if canary is not None and to is not None:
        raise ContractError("--to and --canary exclude each other: going to a release ends every canary")
    if canary is not None and canary not in canaries:
        known = ", ".join(map(str, sorted(canaries))) or "none"
        raise ContractError(f"Release {canary} is not a canary. Canaries: {known}")
    return canaries


def _ended_so(entries: Sequence[Entry], *, by: str, why: str, to: str | None, asked_by: str) -> bool:
    """Whether the newest update ended a canary with the same arguments: repeated, or resumed after a kill."""
    move = last_alias_move(entries)
    if move is None or move.kind is not Kind.WITHDRAW or to not in {None, CHAMPION}:
        return False
    return (move.by, move.why, move.run) == (by, why, asked_by)


def _restorable_release(
    workspace: Workspace, to: str | None, aliases: Mapping[str, int], mismatch: Mismatch | None
) -> Part:
    """Return the release to restore; raise if it is not whole, never served, or must be named with ``to``."""
    if to is None and mismatch is not None and mismatch.source is not MismatchSource.AUDIT:
        raise AuditMismatch(f"{mismatch.what}. Name the intended champion with --to VERSION")
    if to is None and PREVIOUS not in aliases:
        raise ContractError(
            f"{workspace.surface} has no previous release. Name an earlier champion with --to VERSION"
        )
    part = workspace.releases.part(to or PREVIOUS)
    _refuse_strangers(workspace, part, aliases, mismatch)
    if problems := verify_bytes(workspace, part).problems:
        others = _say_others(workspace.aliases, {part.version, aliases.get(CHAMPION)}, mismatch)
        raise StoreError(f"{part} is not whole: {problems[0].removesuffix('.')}. {others}")
    return part


def _say_others(moves: ReleaseAliases, but: Collection[int | None], mismatch: Mismatch | None) -> str:
    """Describe the remaining rollback targets, by the records that are valid."""
    unbelieved = mismatch is not None and mismatch.source is MismatchSource.AUDIT
    others = [] if unbelieved else sorted(moves.served().difference(but))
    if not others:
        return "Restore it from a backup: no other release that served is known"
    named = " or ".join(map(str, others))
    return (
        f"Restore it from a backup, or go back to release {named}, which served, with "
        f"`equipoise rollback {moves.audit.surface} --to VERSION --why TEXT`"
    )


def _refuse_strangers(
    workspace: Workspace, part: Part, aliases: Mapping[str, int], mismatch: Mismatch | None
) -> None:
    """Raise ContractError for a release that never served: that would be a promotion without gates."""
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
