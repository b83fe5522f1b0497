"""Notes, assets and messages of a run that updated the champion or the canary, or changed nothing."""

from typing import TYPE_CHECKING, Any

from dags.assets import update_champion
from dags.note import tell
from dags.notify import Message, notify
from dags.step import point_to, release_address

if TYPE_CHECKING:
    from tasks.promotion.moves.promote import MoveResult
    from tasks.stores.workspace import Workspace


def tell_move(workspace: "Workspace", result: "MoveResult") -> dict[str, Any]:
    """Write the run's note, link the step to the champion, and notify people and DAGs of an update."""
    from tasks.stores.aliases import release_name

    surface, words = workspace.contracts.name, in_words(result)
    address = release_address(release_name(surface), result.champion)
    point_to(address)
    tell(words, address)
    if result.moved is not None:
        details = f"By {result.moved.by}: {result.moved.why}. {address}"
        message = Message(f"{surface}: {words.replace('*', '')}", details)
        notify(workspace.contracts.surface.notify.alias_moves, message)
        if result.champion != result.moved.champion:
            update_champion(surface, {"release": result.champion, "previous": result.moved.champion})
    return {"champion": result.champion, "moved": result.moved is not None}


def in_words(result: "MoveResult") -> str:
    """Describe the update of the champion or of the canary.

    Examples
    --------
    >>> from tasks.promotion.moves.promote import MoveResult
    >>> from tasks.stores.audit import Entry, Kind
    >>> in_words(MoveResult(3, Entry(Kind.PROMOTE, "ana", release=3, champion=2, why="better")))
    '**Champion: 2 -> 3**'
    >>> in_words(MoveResult(3, None))
    '**Champion: 3**, nothing to do'
    >>> first = Entry(Kind.CANARY, "ana", release=4, champion=3, why="better", share=0.05)
    >>> in_words(MoveResult(3, first, canary=4))
    '**Canary: 4** compared with champion 3, 5% of the users'
    >>> ended = Entry(Kind.WITHDRAW, "ana", release=4, champion=3, why="hides rose")
    >>> in_words(MoveResult(3, ended, ended=(4,)))
    '**Canary: 4 -> none**, champion 3'
    """
    beside = f"**Canary: {result.canary}** compared with champion {result.champion}"
    if result.moved is None:
        there = f"**Champion: {result.champion}**" if result.canary is None else beside
        return f"{there}, nothing to do"
    if result.canary is not None:
        return f"{beside}, {result.moved.served}"
    if result.champion == result.moved.champion:
        ended = ", ".join(map(str, result.ended))
        return f"**Canary: {ended} -> none**, champion {result.champion}"
    return f"**Champion: {result.moved.champion or 'none'} -> {result.champion}**"
