"""The halves of a tuning, read in blocks: whole users, and decided as the whole candidates are."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pytest

from tasks import columns as c
from tasks.errors import DataError
from tasks.release import view
from tasks.replay import slates as slices
from tasks.replay.decided_slice import Entrant, Entrants
from tasks.replay.entrants import EntrantVersions
from tasks.stores.manifest import Manifest, Role
from tasks.tuning.tuning_slice import TuningHalf, TuningSlice, tuning_days
from tests.feeds.mini import Retrained
from tests.replay.same_slices import assert_same
from tests.replay.whole_slice import whole_slice

ROWS = 1_000
"""Candidates of a block, so that a day has several."""


@pytest.fixture(scope="module")
def entrants(second_retrain: Retrained) -> Entrants:
    workspace = second_retrain.workspace
    newer, older = (Entrant(view.load(workspace, n), f"release {n}") for n in (2, 1))
    return Entrants(newer, older)


@pytest.fixture(scope="module")
def sliced(second_retrain: Retrained, entrants: Entrants) -> TuningSlice:
    return TuningSlice.of(second_retrain.workspace, entrants, rows=ROWS)


@pytest.fixture(scope="module")
def manifest(second_retrain: Retrained) -> Manifest:
    return second_retrain.workspace.releases.manifest(2)


@pytest.fixture(scope="module")
def whole(second_retrain: Retrained, manifest: Manifest, sliced: TuningSlice) -> slices.TestSlice:
    return whole_slice(second_retrain.workspace, manifest, sliced.days)


def rows(half: TuningHalf, whole: slices.TestSlice) -> npt.NDArray[np.bool_]:
    """Mark the rows of the whole that are in a half, where requests have names by which policies draw anew."""
    named = (
        one.removeprefix("replay of ") for block in half.blocks for one in block.candidates[c.REQUEST_ID]
    )
    return np.asarray(whole.candidates[c.REQUEST_ID].isin({*named}))


def users(half: TuningHalf, whole: slices.TestSlice) -> set[object]:
    return set(whole.candidates[rows(half, whole)][c.USER_ID])


def test_every_candidate_is_in_one_half_and_every_user_too(
    sliced: TuningSlice, whole: slices.TestSlice
) -> None:
    search, confirm = rows(sliced.search, whole), rows(sliced.confirm, whole)
    assert (search ^ confirm).all()
    assert not users(sliced.search, whole) & users(sliced.confirm, whole)
    assert 0.4 < search.mean() < 0.6
    assert len(sliced.search.decided.log.requests) == search.sum()


def test_blocks_of_any_size_make_the_same_halves(
    second_retrain: Retrained, entrants: Entrants, sliced: TuningSlice
) -> None:
    at_once = TuningSlice.of(second_retrain.workspace, entrants)
    for half, same in ((sliced.search, at_once.search), (sliced.confirm, at_once.confirm)):
        assert_same(half.decided.log, same.decided.log)
        assert_same(half.decided.policy, same.decided.policy)
        assert_same(half.decided.baseline, same.decided.baseline)


def test_no_feature_stays_that_no_policy_reads(sliced: TuningSlice, whole: slices.TestSlice) -> None:
    contracts = whole.contracts
    features = {*contracts.surface.features.numeric, *contracts.surface.features.categorical}
    kept = {*sliced.search.blocks[0].candidates}
    assert {c.REQUEST_ID, c.ITEM_ID, "margin"} <= kept < {*whole.candidates}
    assert features - kept


def test_other_weights_decide_as_they_do_on_the_whole_candidates(
    sliced: TuningSlice, whole: slices.TestSlice, entrants: Entrants
) -> None:
    contracts = whole.contracts
    bold = contracts.utility.model_copy(
        update={"weights": {**contracts.utility.weights, "hide_2d": contracts.utility.weights["click_30m"]}}
    )
    for half in (sliced.search, sliced.confirm):
        ours = replace(whole, candidates=whole.candidates[rows(half, whole)].reset_index(drop=True))
        scored = ours.slates_of(entrants.under_test.release, "release 2")
        theirs = ours.slates_by(bold, scored, "bold")
        assert len(half.blocks) > 1
        made = half.slates(bold)
        for name in ("slot", "rank", "utility"):
            np.testing.assert_array_equal(getattr(made, name), getattr(theirs, name), err_msg=name)
        for task, column in theirs.predictions.items():
            np.testing.assert_array_equal(made.predictions[task], column, err_msg=task)
        for term, part in theirs.contributions.items():
            np.testing.assert_array_equal(made.contributions[term], part, err_msg=term)
        assert not half.slates(bold, composed=False).contributions


def test_the_baseline_predicts_for_every_candidate_that_a_trial_may_show(
    sliced: TuningSlice, whole: slices.TestSlice
) -> None:
    for task, predicted in sliced.search.decided.baseline.predictions.items():
        assert np.isfinite(predicted).all(), task
        assert (predicted > 0).any(), task


def test_beside_an_order_outcomes_are_worth_what_the_release_says(
    second_retrain: Retrained,
) -> None:
    workspace = second_retrain.workspace
    beside = TuningSlice.of(workspace, EntrantVersions(2, order="logged").load(workspace)).search
    assert beside.decided.baseline.follows_log
    terms = beside.replay.utility_terms(beside.slates(workspace.contracts.utility), beside.decided.baseline)
    ours = beside.decided.policy.worth
    for term in terms.terms:
        np.testing.assert_array_equal(term.worth, np.nan_to_num(ours[term.task]))


def test_days_lie_after_every_training_and_before_the_test(manifest: Manifest) -> None:
    first, last = tuning_days(manifest)
    trained = [part.trained_until() for part in manifest.parts if part.role is Role.TASK]
    assert first == max(trained) + timedelta(days=1)
    assert last == manifest.test[0] - timedelta(days=1)


def test_a_head_that_learned_up_to_the_test_leaves_no_day(manifest: Manifest) -> None:
    first, _ = tuning_days(manifest)
    early = replace(manifest, test=(first, manifest.test[1]))
    with pytest.raises(DataError, match="No day is left to tune on"):
        tuning_days(early)
