"""A test slice decided in blocks is the slice decided whole, to the bit."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import canonical
from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.release import view
from tasks.replay import slates as slices
from tasks.replay.decided_slice import BASELINE, POLICY, DecidedSlice, Entrant, Entrants, decide_slice
from tasks.replay.entrants import baseline_order
from tasks.replay.evaluate import OfflineEvaluation, evaluate_offline
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.logged_candidates import candidate_blocks, labelled_candidates
from tasks.replay.off_policy_check import check_off_policy
from tasks.replay.read_log import LogReading, candidate_log, join_blocks, read_block
from tasks.replay.simulate import comparisons, composition
from tasks.replay.slates import Scored
from tasks.stores.manifest import Manifest
from tests.feeds.mini import Retrained
from tests.replay.blocks import frame_of
from tests.replay.same_slices import assert_same, values

ROWS = 3_000
"""Candidates of a block: a day of the feed, which has 4,800, is cut into two."""


@pytest.fixture(scope="module")
def manifest(second_retrain: Retrained) -> Manifest:
    return second_retrain.workspace.releases.manifest(2)


@pytest.fixture(scope="module")
def whole(tested_slice: slices.TestSlice) -> slices.TestSlice:
    return tested_slice


@pytest.fixture(scope="module")
def entrants(second_retrain: Retrained) -> Entrants:
    workspace = second_retrain.workspace
    ours, old = (Entrant(view.load(workspace, n), name, served_as=n) for n, name in ((2, "ours"), (1, "old")))
    bold = UtilitySpec.model_validate({**canonical(workspace.contracts.utility), "version": 9})
    return Entrants(ours, old, {"stable": replace(old, served_as=None)}, {"bold": bold})


@pytest.fixture(scope="module")
def decided(second_retrain: Retrained, manifest: Manifest, entrants: Entrants) -> DecidedSlice:
    return decide_slice(second_retrain.workspace, manifest, entrants, rows=ROWS)


def test_the_slice_is_read_in_parts_of_days_that_are_the_whole(
    second_retrain: Retrained, manifest: Manifest
) -> None:
    workspace, (first, last) = second_retrain.workspace, manifest.test
    snapshot = manifest.snapshot.id
    read = candidate_blocks(workspace, snapshot=snapshot, days=manifest.test, most_rows=ROWS)
    blocks = [block.frame for block in read]
    assert [len(block) for block in blocks] == [3_000, 1_800] * 4
    frame = labelled_candidates(workspace, snapshot=snapshot, first_day=first, last_day=last)
    joined = pd.concat(blocks, ignore_index=True)
    pd.testing.assert_frame_equal(joined, frame, check_dtype=False)


def test_the_log_of_the_blocks_is_that_of_the_slice(whole: slices.TestSlice, decided: DecidedSlice) -> None:
    assert_same(decided.log, whole.log)


def test_slates_and_predictions_are_those_of_the_slice(
    whole: slices.TestSlice, decided: DecidedSlice, entrants: Entrants
) -> None:
    scored = whole.slates_of(entrants.under_test.release, "ours", served_as=2)
    for name, value in values(scored.slates):
        if not name.startswith("worth"):
            np.testing.assert_array_equal(value, dict(values(decided.policy))[name], err_msg=name)
    bold = whole.slates_by(entrants.others["bold"], scored, "bold")
    np.testing.assert_array_equal(decided.others["bold"].slot, bold.slot)
    known = np.isfinite(whole.log.labels["click_30m"])
    for column, logged in decided.predicted[POLICY].items():
        np.testing.assert_array_equal(logged[known], scored.where_logged[column][known])


def findings(log: CandidateLog, whole: slices.TestSlice, made: Mapping[str, PolicySlates]) -> object:
    contracts = whole.contracts
    evaluation = OfflineEvaluation(contracts, log, made["ours"], made["old"], {"stable": made["stable"]})
    found = evaluate_offline(evaluation, {"bold": made["bold"]}, run="r")
    return found, check_off_policy(evaluation), composition(log, made["ours"], contracts.utility.base_terms)


def test_all_that_is_measured_and_judged_is_the_same(
    whole: slices.TestSlice, decided: DecidedSlice, entrants: Entrants
) -> None:
    scored = whole.slates_of(entrants.under_test.release, "ours", served_as=2)
    assert isinstance(entrants.baseline, Entrant)
    old = whole.slates_of(entrants.baseline.release, "old", served_as=1)
    at_once = {
        "ours": scored.slates,
        "old": old.slates,
        "stable": replace(old.slates, release=None),
        "bold": whole.slates_by(entrants.others["bold"], scored, "bold"),
    }
    in_blocks = {
        "ours": decided.policy,
        "old": decided.baseline,
        **decided.anchors,
        **decided.others,
    }
    assert repr(findings(decided.log, whole, in_blocks)) == repr(findings(whole.log, whole, at_once))
    compared = [
        repr([*comparisons(whole.contracts, log, ours, theirs)])
        for log, ours, theirs in (
            (decided.log, decided.predicted[POLICY], decided.predicted[BASELINE]),
            (whole.log, scored.where_logged, old.where_logged),
        )
    ]
    assert compared[0] == compared[1]


def test_a_logged_order_is_that_of_the_slice(
    second_retrain: Retrained, manifest: Manifest, whole: slices.TestSlice, entrants: Entrants
) -> None:
    alone = replace(entrants, baseline=baseline_order, anchors={}, others={})
    made = decide_slice(second_retrain.workspace, manifest, alone, rows=ROWS)
    scored = whole.slates_of(entrants.under_test.release, "ours", served_as=2)
    assert made.baseline.follows_log
    assert BASELINE not in made.predicted
    np.testing.assert_array_equal(made.baseline.slot, baseline_order(whole, scored).slot)


def test_a_block_of_which_nothing_was_shown_has_no_order_and_stops_nothing(
    second_retrain: Retrained, manifest: Manifest, entrants: Entrants
) -> None:
    calls: list[int] = []

    def order(block: slices.TestSlice, ours: Scored) -> PolicySlates:
        """Refuse the first block, as if it held no position; then every one."""
        calls.append(len(block.candidates))
        block.__dict__["log"] = replace(block.log, positions_logged=len(calls) > 1)
        return baseline_order(block, ours)

    alone = replace(entrants, baseline=order, anchors={}, others={})
    made = decide_slice(second_retrain.workspace, manifest, alone, rows=ROWS)
    assert made.baseline.name == "logged order"
    assert not made.baseline.slot[: calls[0]].any()
    assert made.baseline.slot[calls[0] :].any()

    def never(block: slices.TestSlice, ours: Scored) -> PolicySlates:
        block.__dict__["log"] = replace(block.log, positions_logged=False)
        return baseline_order(block, ours)

    with pytest.raises(DataError, match="The log carries no position"):
        decide_slice(second_retrain.workspace, manifest, replace(alone, baseline=never), rows=ROWS)


def test_values_of_a_segment_are_told_alike_in_every_block() -> None:
    """Numbers are in their order, also where a block lacks one; unknown comes last."""

    def reading(words: list[str], kind: str) -> LogReading:
        named: pd.Index[Any] = pd.Index(words)
        values = pd.Categorical.from_codes(range(len(words)), categories=named)
        return LogReading({"click": ("click",)}, segments={"x": values}, kinds={"x": kind})

    def joined(*blocks: tuple[list[str], str]) -> list[str]:
        made = [read_block(frame_of(["r"] * len(words)), reading(words, kind)) for words, kind in blocks]
        column = join_blocks(made, reading(*blocks[0])).segments["x"]
        return [*map(str, column), "|", *map(str, column.categories)]

    assert joined((["2", "3"], "numbers"), (["3", "unknown"], "numbers"))[:4] == ["2", "3", "3", "unknown"]
    assert joined((["b", "unknown"], "words"), (["z"], "words"))[-3:] == ["b", "z", "unknown"]
    assert joined((["10", "unknown"], "numbers"), (["9"], "numbers"))[-3:] == ["9", "10", "unknown"]


def test_codes_and_shares_are_those_of_all_blocks() -> None:
    """A user comes back, a label is known in one block only: it stands for the shown rows of both."""
    links = LogReading({"click": ("click",)})
    first = frame_of(["a", "a"], user_id=["u", "u"], click=[1.0, np.nan])
    second = frame_of(["b", "c"], user_id=["v", "u"], item_id=["1", "9"], click=np.nan)
    blocks = [read_block(one, links) for one in (first, second)]
    log = join_blocks(blocks, links)
    assert_same(log, candidate_log(pd.concat([first, second], ignore_index=True), links))
    assert log.users.tolist() == [0, 0, 1, 0]
    assert log.requests.tolist() == [0, 0, 1, 2]
    assert log.outcomes["click"].weight.tolist() == [4.0, 0.0, 0.0, 0.0]
