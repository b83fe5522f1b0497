"""What the rows of an audit say, oldest first: the newest move, the canary that serves, who served before."""

from collections.abc import Sequence

from tasks.stores.audit_row import Entry, Kind


def last_move(entries: Sequence[Entry]) -> Entry | None:
    """Return the newest of some rows that moved the champion."""
    return next((entry for entry in reversed(entries) if entry.moves), None)


def last_alias_move(entries: Sequence[Entry]) -> Entry | None:
    """Return the newest of some rows that moved an alias, be it the champion or the canary."""
    return next((entry for entry in reversed(entries) if entry.sets_alias), None)


def live_canary(entries: Sequence[Entry]) -> Entry | None:
    """Return the row of the canary that serves now; whatever else moves an alias ends it.

    Examples
    --------
    >>> rows = [Entry(kind, "ana", 3, 2, "why") for kind in (Kind.CANARY, Kind.APPROVE, Kind.PROMOTE)]
    >>> [entry and entry.kind.value for entry in (live_canary(rows[:2]), live_canary(rows))]
    ['canary', None]
    """
    move = last_alias_move(entries)
    return move if move is not None and move.kind is Kind.CANARY else None


def since_last_move(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the rows after the newest move: what was answered before it was about other aliases."""
    move = last_alias_move(entries)
    return tuple(entries if move is None else (entry for entry in entries if entry.number > move.number))


def champions(entries: Sequence[Entry]) -> list[int]:
    """Return the releases that came to serve one after the other; a rollback takes back what it undid.

    Examples
    --------
    >>> moves = [(Kind.PROMOTE, 1), (Kind.PROMOTE, 2), (Kind.ROLLBACK, 1), (Kind.PROMOTE, 3)]
    >>> champions([Entry(kind, "ana", release, None, "why") for kind, release in moves])
    [1, 3]
    """
    served: list[int] = []
    for entry in entries:
        if not entry.moves:
            continue
        if entry.kind is Kind.ROLLBACK and entry.release in served:
            del served[served.index(entry.release) :]
        served.append(entry.release)
    return served
