"""What a run says that moved the champion, or found nothing to do."""

from typing import TYPE_CHECKING, Any

from dags.note import tell
from dags.step import point_to, release_address

if TYPE_CHECKING:
    from tasks.promotion.promote import MoveResult


def tell_move(surface: str, result: "MoveResult") -> dict[str, Any]:
    """Say it in the run's note, let the step's link lead to the champion, and hand it on."""
    from tasks.stores.releases import release_name

    address = release_address(release_name(surface), result.champion)
    point_to(address)
    tell(in_words(result), address)
    return {"champion": result.champion, "moved": result.moved is not None}


def in_words(result: "MoveResult") -> str:
    """Say from which release to which the champion moved.

    Examples
    --------
    >>> from tasks.promotion.promote import MoveResult
    >>> from tasks.stores.audit import Entry, Kind
    >>> in_words(MoveResult(3, Entry(Kind.PROMOTE, "ana", release=3, champion=2, why="better")))
    '**Champion: 2 -> 3**'
    >>> in_words(MoveResult(3, None))
    '**Champion: 3**, nothing to do'
    """
    if result.moved is None:
        return f"**Champion: {result.champion}**, nothing to do"
    return f"**Champion: {result.moved.champion or 'none'} -> {result.champion}**"
