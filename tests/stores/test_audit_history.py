"""Who serves and who served, by the rows of an audit, oldest first."""

from tasks.stores.audit_history import champions, last_alias_move, last_move, live_canary, since_last_move
from tasks.stores.audit_row import Entry, Kind


def rows(*moves: tuple[Kind, int]) -> list[Entry]:
    return [
        Entry(kind, "ana", release, None, "why", number=place) for place, (kind, release) in enumerate(moves)
    ]


def test_without_rows_nobody_serves_or_served() -> None:
    assert (last_move([]), last_alias_move([]), live_canary([]), since_last_move([]), champions([])) == (
        *(None, None, None),
        *((), []),
    )


def test_a_canary_is_the_newest_move_of_an_alias_and_none_of_the_champion() -> None:
    first, canary, _ = told = rows((Kind.PROMOTE, 1), (Kind.CANARY, 2), (Kind.APPROVE, 2))
    assert (last_move(told), last_alias_move(told), live_canary(told)) == (first, canary, canary)


def test_whatever_moves_an_alias_ends_the_canary() -> None:
    for kind in (Kind.PROMOTE, Kind.ROLLBACK, Kind.WITHDRAW):
        assert live_canary(rows((Kind.CANARY, 2), (kind, 2))) is None


def test_answers_count_from_the_newest_move_on() -> None:
    told = rows((Kind.APPROVE, 2), (Kind.CANARY, 2), (Kind.APPROVE, 2), (Kind.REJECT, 2))
    assert since_last_move(told) == tuple(told[2:])
    assert since_last_move(told[:1]) == tuple(told[:1])


def test_a_rollback_takes_back_what_it_undid_and_answers_serve_nothing() -> None:
    told = rows(
        (Kind.PROMOTE, 1), (Kind.PROMOTE, 2), (Kind.APPROVE, 3), (Kind.PROMOTE, 3), (Kind.ROLLBACK, 1)
    )
    assert champions(told[:4]) == [1, 2, 3]
    assert champions(told) == [1]
    assert champions([*told, *rows((Kind.ROLLBACK, 9))]) == [1, 9], "what never served begins to"
