"""Which releases serve, and with which shares, is read as the page on serving says."""

from pathlib import Path
from typing import Any

import pytest

from tasks.contracts.gates import UserPool
from tasks.experiments.ramp_log import RampShare
from tasks.stores.aliases import ReleaseAliases
from tasks.stores.audit import Entry, Kind
from tasks.stores.tracking import current, tracking_uri
from tests.docs.pages import DOCS, blocks
from tests.stores.registered import MODEL, new_aliases, register

(CODE,) = [block.text for block in blocks(DOCS / "serving.md") if "def canaries" in block.text]


@pytest.fixture
def moves(tmp_path: Path) -> ReleaseAliases:
    """Two releases, of which the first is champion."""
    moves = new_aliases(tmp_path / "home")
    register(moves, "one", "two")
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 1, None, "the first"))
    return moves


def read_page(moves: ReleaseAliases) -> tuple[dict[str, Any], list[tuple[int, float, float, float]]]:
    page: dict[str, Any] = {}
    exec(CODE, page)  # noqa: S102 - the page's own code
    with current(tracking_uri(moves.registry.home)):
        return page, page["canaries"](MODEL)


def test_the_shares_are_those_of_the_moves(moves: ReleaseAliases) -> None:
    assert read_page(moves)[1] == []
    moves.add(lambda *_: Entry(Kind.CANARY, "ana", 2, 1, "carts rose", "e", share=0.25))
    assert read_page(moves)[1] == [(2, 0.25, 0.0, 1.0)]
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 2, 1, "carts rose", "e"))
    assert read_page(moves)[1] == []


def test_a_user_gets_the_version_of_the_assignment(moves: ReleaseAliases) -> None:
    pool = UserPool(2, 0.5, 1.0)
    moves.add(lambda *_: Entry(Kind.CANARY, "ana", 2, 1, "carts rose", "e", share=0.25, pool=str(pool)))
    (page, ramps), ramp = read_page(moves), RampShare(2, 0.25, pool)
    users = [f"u{n}" for n in range(200)]
    served = [page["version_of"]("home_feed", user, 1, ramps) for user in users]
    places = [ramp.place_of(user, surface="home_feed") for user in users]
    assert served == [1 if place is None or place >= 0.25 else 2 for place in places]
    assert set(served) == {1, 2}
