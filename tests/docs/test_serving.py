"""Which releases serve, and with which shares, is read as the page on serving says."""

from pathlib import Path
from typing import Any

import pytest

from tasks.experiments.assignment import place_of
from tasks.stores.aliases import ReleaseAliases
from tasks.stores.audit import Entry, Kind
from tasks.stores.tracking import current, tracking_uri
from tests.docs.pages import DOCS, blocks
from tests.stores.registered import MODEL, new_aliases, register

(CODE,) = [block.text for block in blocks(DOCS / "serving.md") if "def traffic" in block.text]


@pytest.fixture
def moves(tmp_path: Path) -> ReleaseAliases:
    """Two releases, of which the first is champion."""
    moves = new_aliases(tmp_path / "home")
    register(moves, "one", "two")
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 1, None, "the first"))
    return moves


def traffic(moves: ReleaseAliases) -> dict[int, float]:
    page: dict[str, Any] = {}
    exec(CODE, page)  # noqa: S102 - the page's own code
    with current(tracking_uri(moves.registry.home)):
        shares: dict[int, float] = page["traffic"](MODEL)
    return shares


def test_the_shares_are_those_of_the_moves(moves: ReleaseAliases) -> None:
    assert traffic(moves) == {1: 1.0}
    moves.add(lambda *_: Entry(Kind.CANARY, "ana", 2, 1, "carts rose", "e", share=0.25))
    assert traffic(moves) == {1: 0.75, 2: 0.25}
    moves.add(lambda *_: Entry(Kind.PROMOTE, "ana", 2, 1, "carts rose", "e"))
    assert traffic(moves) == {2: 1.0}


def test_the_place_of_a_user_is_that_of_the_assignment() -> None:
    page: dict[str, Any] = {}
    exec(CODE, page)  # noqa: S102 - the page's own code
    assert page["place"]("home_feed", 7, "u-17") == place_of("u-17", surface="home_feed", release=7)
