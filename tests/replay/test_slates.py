"""Slates over a test slice: a release's own, another policy's, a logged column's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import UtilitySpec, canonical
from tasks.errors import DataError
from tasks.ranking.policy import UtilityPolicy
from tasks.release import view as release_view
from tasks.replay import slates
from tasks.replay.slates import Scored
from tasks.stores import releases
from tests.feeds import mini
from tests.feeds.mini import LATER, Retrained


@pytest.fixture(scope="module")
def tested_slice(second_retrain: Retrained) -> slates.TestSlice:
    workspace = second_retrain.workspace
    return slates.TestSlice.of(workspace, releases.release_manifest(workspace, 2))


@pytest.fixture(scope="module")
def scored(tested_slice: slates.TestSlice) -> Scored:
    return tested_slice.slates_of(release_view.load(tested_slice.workspace, 2), "release 2")


def test_it_holds_the_candidates_of_the_four_test_days(tested_slice: slates.TestSlice) -> None:
    days = tested_slice.candidates["shown_at"].dt.date
    assert days.nunique() == 4
    assert days.max() < LATER.date()
    assert tested_slice.complete


def test_a_slate_holds_ten_candidates_in_ten_slots(tested_slice: slates.TestSlice, scored: Scored) -> None:
    frame = pd.DataFrame({"request": tested_slice.log.requests, "slot": scored.slates.slot})
    slots = frame[frame["slot"] > 0].groupby("request")["slot"]
    assert (slots.agg("nunique") == slots.size()).all()
    assert slots.max().max() == 10


def test_an_unsafe_item_is_in_no_slate_whatever_its_utility(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    """Nothing but clicks counts, and a click is worth a fortune: a hard constraint is no price (F5)."""
    policy = _policy(tested_slice, weights={"click_30m": 1e6})
    unsafe = tested_slice.candidates["policy_violation"].to_numpy(dtype=bool)
    best = tested_slice.slates_under(policy, scored, "fortune")
    assert unsafe.any()
    assert best.utility is not None
    best_of_request = pd.Series(best.utility).groupby(tested_slice.log.requests).transform("max")
    assert (best_of_request.to_numpy() == best.utility)[unsafe].any(), "an unsafe item would have been first"
    for chosen in (scored.slates, best):
        assert not chosen.slot[unsafe].any()


def test_what_may_not_be_known_to_be_permitted_is_in_no_slate(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    permitted = tested_slice.candidates["permitted"]
    assert permitted.isna().any()
    assert not scored.slates.slot[(permitted.isna() | (permitted == False)).to_numpy()].any()  # noqa: E712 - null stays null


def test_the_releases_own_policy_makes_the_releases_own_slates(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    again = tested_slice.slates_under(tested_slice.contracts.utility, scored, "the same")
    np.testing.assert_array_equal(again.slot, scored.slates.slot)
    assert again.utility is not None
    assert scored.slates.utility is not None
    np.testing.assert_allclose(again.utility, scored.slates.utility, rtol=1e-12)


def test_contributions_add_up_to_the_utility(scored: Scored) -> None:
    total = np.sum(list(scored.slates.contributions.values()), axis=0)
    assert scored.slates.utility is not None
    np.testing.assert_allclose(total, scored.slates.utility, rtol=1e-9, atol=1e-12)


def test_the_joint_probability_of_a_return_is_below_that_of_its_purchase(scored: Scored) -> None:
    predictions = scored.slates.predictions
    assert (predictions["return_5d"] < predictions["purchase_2d"]).all()


def test_the_logged_order_is_what_was_shown_without_what_no_policy_may_show(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    logged = tested_slice.baseline_order(scored)
    position = tested_slice.candidates["position"].to_numpy(dtype=float, na_value=np.nan)
    requests, placed = tested_slice.log.requests, logged.slot > 0
    assert logged.follows_log
    assert np.isfinite(position[placed]).all()
    assert not tested_slice.candidates["policy_violation"].to_numpy(dtype=bool)[placed].any()
    kept = pd.DataFrame({"request": requests, "slot": logged.slot, "position": position})[placed]
    by_slot = kept.sort_values(["request", "slot"])
    assert (
        by_slot.groupby("request")["position"].diff().dropna() > 0
    ).mean() > 0.85  # the rules of the slate move few


def test_a_column_stands_in_under_the_rules_of_the_release(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    popular = _with_first(tested_slice, tmp_path, "item_popularity").baseline_order(scored)
    assert popular.name == "order of item_popularity"
    unsafe = tested_slice.candidates["policy_violation"].to_numpy(dtype=bool)
    assert not popular.slot[unsafe].any()
    creators = pd.DataFrame(
        {
            "request": tested_slice.log.requests,
            "creator": tested_slice.candidates["creator"],
            "placed": popular.slot > 0,
        }
    )
    assert creators[creators["placed"]].groupby(["request", "creator"], observed=True).size().max() <= 2
    means = [tested_slice.candidates["item_popularity"][s.slot > 0].mean() for s in (popular, scored.slates)]
    assert means[0] > means[1]


def test_a_column_stands_in_under_what_a_context_adds_and_without_its_multipliers(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    unsafe = {"column": "source", "equals": "sponsored"}
    new = {
        "name": "new",
        "when": {"user_tenure": ["new"]},
        "hard_constraints": [{"name": "no_ads", "drop_when": unsafe}],
        "multipliers": [{"name": "less", "when": {"category": ["tea"]}, "factor": 0.5}],
        "weights": {},
    }
    plain = canonical(tested_slice.contracts.utility) | {"offset": {"scale": 0.1}, "contexts": [new]}
    policy = UtilityPolicy.from_json(plain)
    ordered = tested_slice.baseline_order(replace(scored, policy=policy), "price")
    candidates = tested_slice.candidates
    fresh, ads = candidates["user_tenure"] == "new", candidates["source"] == "sponsored"
    assert not ordered.slot[(fresh & ads).to_numpy()].any()
    assert ordered.slot[(~fresh & ads).to_numpy()].any()


def test_an_order_takes_the_requests_utilities_from_the_best_down() -> None:
    rows, requests = np.array([True, True, False, True]), np.array([0, 0, 0, 1])
    ranked = slates.rank_as(
        np.array([2.0, 7.0, np.nan]), like=np.array([0.5, 0.2, 9.0, 0.1]), among=rows, requests=requests
    )
    assert ranked.tolist() == [0.2, 0.5, 0.1]


def test_a_column_that_no_candidate_has_is_named(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"Unknown column 'item_populrity'.*Did you mean 'item_popularity'"):
        _with_first(tested_slice, tmp_path, "item_populrity").baseline_order(scored)


def _policy(tested_slice: slates.TestSlice, **changes: Any) -> UtilitySpec:
    plain = tested_slice.contracts.utility.model_dump(mode="json") | {"relevance_floor": {}, "contexts": []}
    return UtilitySpec.model_validate(plain | changes)


def _with_first(tested_slice: slates.TestSlice, folder: Path, column: str) -> slates.TestSlice:
    def first(plain: dict[str, Any]) -> None:
        plain["gates"]["decision"]["first"] = {"column": column}

    workspace = mini.changed(tested_slice.workspace, folder, surface=first)
    return slates.TestSlice(workspace, tested_slice.candidates, tested_slice.complete)
