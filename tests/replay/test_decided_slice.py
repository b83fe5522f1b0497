"""Blocks joined: codes and places over all rows, columns that every block has, and an order that some lack."""

import numpy as np
import pytest

from tasks.contracts import Contracts, load_surface
from tasks.errors import DataError
from tasks.replay.decided_slice import BASELINE, POLICY, DecidedBlock, DecidedSlice, EntrantKey, SliceBuilder
from tasks.replay.read_log import LogReading
from tests.feeds.mini import NAME, SURFACES
from tests.replay.blocks import LINKS, decided


def test_policies_that_are_judged_are_asked_for_every_candidate() -> None:
    evaluated = {key: key.evaluated for key in (POLICY, EntrantKey("others", "bold"), BASELINE)}
    assert evaluated == {POLICY: True, EntrantKey("others", "bold"): True, BASELINE: False}
    assert not EntrantKey("anchors", "stable").evaluated


def joined(contracts: Contracts, *blocks: DecidedBlock) -> DecidedSlice:
    builder = SliceBuilder()
    for block in blocks:
        builder.add(block)
    return builder.build(contracts, LogReading(LINKS))


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return load_surface(SURFACES, NAME)


def test_rows_of_later_blocks_follow_those_of_the_earlier(contracts: Contracts) -> None:
    made = joined(contracts, decided("r"), decided("s"))
    assert made.log.requests.tolist() == [0, 0, 0, 1, 1, 1]
    assert made.log.items.tolist() == [0, 1, 2, 0, 1, 2]
    assert made.policy.slot.tolist() == [0, 1, 0, 0, 1, 0]
    click = made.log.labels["click"]
    assert np.flatnonzero(np.isfinite(click)).tolist() == [0, 3]
    assert made.predicted[POLICY]["p_click"][[0, 3]].tolist() == [0.4, 0.4]
    assert made.others["a/b"].worth["click"].tolist() == [4.0, 5.0, 0.0, 4.0, 5.0, 0.0]
    assert [(rule.slates, rule.slots_short) for rule in made.rules] == [(2, 4)]
    assert [(leak.constraint, leak.items) for leak in made.leaks["ours"]] == [("legal", 4)]


def test_an_order_that_one_block_lacks_is_named_by_the_others(contracts: Contracts) -> None:
    made = joined(contracts, decided("r", no_order="nothing was shown"), decided("s"))
    assert made.baseline.name == "logged order"
    assert made.baseline.rank is None


def test_an_order_that_all_blocks_lack_is_refused(contracts: Contracts) -> None:
    with pytest.raises(DataError, match="nothing was shown"):
        joined(contracts, *(decided(name, no_order="nothing was shown") for name in "rs"))
