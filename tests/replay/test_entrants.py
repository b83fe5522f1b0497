"""Policies of a replay, in the form in which other processes receive them.

An order that stands in for a champion: the logged one, or that of a column, under a release's rules.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts import canonical, load_surface
from tasks.contracts.utility import UtilitySpec
from tasks.errors import DataError
from tasks.replay import slates
from tasks.replay.entrants import EntrantVersions, baseline_order, rank_as
from tasks.replay.rates import RateEstimator
from tasks.replay.slates import Scored
from tests.contracts.files import setting
from tests.feeds import mini
from tests.feeds.mini import NAME, SURFACES
from tests.ranking.policies import utility_json


def test_entrants_are_read_as_they_were_written_but_for_prose() -> None:
    policy = load_surface(SURFACES, NAME).utility
    bold = policy.model_copy(update={"version": policy.version + 1})
    entrants = EntrantVersions(3, 1, None, {"stable": 2, "four promotions ago": 1}, {"z": bold, "a": policy})
    read = EntrantVersions.from_json(entrants.to_json())
    assert replace(read, others={}) == replace(entrants, others={})
    assert [*read.others] == ["z", "a"]
    assert [canonical(one) for one in read.others.values()] == [canonical(bold), canonical(policy)]


def test_the_logged_order_is_what_was_shown_without_what_no_policy_may_show(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    logged = baseline_order(tested_slice, scored)
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
    popular = baseline_order(_with_first(tested_slice, tmp_path, "item_popularity"), scored)
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
    policy = UtilitySpec.model_validate(plain)
    ordered = baseline_order(tested_slice, replace(scored, policy=policy), "price")
    candidates = tested_slice.candidates
    fresh, ads = candidates["user_tenure"] == "new", candidates["source"] == "sponsored"
    assert not ordered.slot[(fresh & ads).to_numpy()].any()
    assert ordered.slot[(~fresh & ads).to_numpy()].any()


def test_an_order_takes_the_requests_utilities_from_the_best_down() -> None:
    ranked = rank_as(np.array([1, 0, 2]), like=np.array([0.5, 0.2, 0.1]), requests=np.array([0, 0, 1]))
    assert ranked.tolist() == [0.2, 0.5, 0.1]


def test_an_order_is_not_tied_where_the_release_ties_its_rows() -> None:
    """Two of .4 below one of .8, and one unknown; the second request has no spread at all."""
    like, requests = np.array([0.4, np.nan, 0.8, 0.4, 7.0, 7.0]), np.array([0, 0, 0, 0, 1, 1])
    ranked = rank_as(np.arange(6), like=like, requests=requests)
    assert ranked == pytest.approx([0.8, 0.4 + 2 * 0.4 / 3, 0.4 + 0.4 / 3, 0.4, 8.0, 7.0])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.1, 0.5, np.nan])), min_size=1))
def test_utilities_of_an_order_fall_strictly_within_those_of_the_release(
    rows: list[tuple[int, float]],
) -> None:
    requests, like = (np.array(column) for column in zip(*sorted(rows), strict=True))
    ranked = rank_as(np.arange(len(rows)), like=like, requests=requests)
    inside = np.diff(requests) == 0
    assert (np.diff(ranked)[inside] < 0).all()
    assert (ranked >= 0).all()


@pytest.mark.parametrize("decided", [1.0, np.nan])
def test_the_logged_order_of_a_release_that_ties_everything_is_the_logged_one(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path, decided: float
) -> None:
    """Tied rows went by item id: a log's rate of .1075 was read as .0714."""
    tied = _free(scored, utility=np.full(len(scored.slates.slot), decided))
    test = _with_slate(tested_slice, tmp_path, diversity={"by": "category", "strength": 0.4})
    log = test.log
    made = baseline_order(test, tied)
    position = np.where(log.logged_position <= 12, log.logged_position, 0)
    assert made.slot.tolist() == position.tolist()
    rates, outcome = RateEstimator(log), log.outcomes["click_30m"]
    slots = pd.DataFrame({"position": position, "known": outcome.known, "clicked": outcome.value})
    by_position = (
        slots[position > 0]
        .groupby("position")
        .agg(slots=("known", "size"), known=("known", "sum"), clicked=("clicked", "sum"))
    )
    stand_for = by_position["slots"] / by_position["known"]
    examined = by_position["slots"] * log.examined_at(by_position.index.to_numpy(dtype=np.int64))
    by_hand = (by_position["clicked"] * stand_for).sum() / examined.sum()
    assert by_position["slots"].min() >= 50
    assert rates.rate("click_30m", made).statistic.value == pytest.approx(by_hand, rel=1e-10)


def test_ties_of_a_column_go_to_the_logged_position_and_then_to_the_item(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    plain = _with_slate(tested_slice, tmp_path)
    test = slates.TestSlice(plain.workspace, plain.candidates.assign(flat=1.0), complete=True)
    made = baseline_order(test, _free(scored), "flat")
    frame = test.candidates.assign(slot=made.slot)
    frame = frame.sort_values(["request_id", "position", "item_id"], na_position="last")
    expected = frame.groupby("request_id").cumcount() + 1
    assert frame["slot"].tolist() == expected.where(expected <= 12, 0).tolist()


def test_diversity_moves_the_order_of_a_column_as_far_as_that_of_the_release(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    """The column is the utility itself in other units, so the rule makes one slate of both."""
    varied = _with_slate(tested_slice, tmp_path, diversity={"by": "category", "strength": 0.02})
    chance = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, len(varied.candidates)))
    free = replace(_free(scored), predictions={"p_click_30m": chance})
    ours = varied.slates_by(free.policy, free, "the release")
    assert ours.utility is not None
    assert ours.rank is not None
    assert (ours.slot[ours.slot > 0] != ours.rank[ours.slot > 0]).any()
    cents = varied.candidates.assign(cents=100 * ours.utility)
    test = slates.TestSlice(varied.workspace, cents, complete=True)
    made = baseline_order(test, _free(scored, utility=ours.utility), "cents")
    assert made.slot.tolist() == ours.slot.tolist()


def test_a_column_that_no_candidate_has_is_named(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"Unknown column 'item_populrity'.*Did you mean 'item_popularity'"):
        baseline_order(_with_first(tested_slice, tmp_path, "item_populrity"), scored)


def _with_first(tested_slice: slates.TestSlice, folder: Path, column: str) -> slates.TestSlice:
    first = setting("gates.decision.first", {"column": column})
    workspace = mini.changed(tested_slice.workspace, folder, surface=first)
    return slates.TestSlice(workspace, tested_slice.candidates, tested_slice.complete)


def _free(scored: Scored, **of_slates: Any) -> Scored:
    """Return a release whose policy has neither floors nor constraints."""
    weights = {"click_30m": 1.0}
    free = replace(scored, policy=UtilitySpec.model_validate(utility_json(weights=weights)))
    return replace(free, slates=replace(scored.slates, **of_slates))


def _with_slate(tested_slice: slates.TestSlice, folder: Path, **rules: Any) -> slates.TestSlice:
    """Return the slice under a slate policy of twelve slots."""

    def slate(plain: dict[str, Any]) -> None:
        kept = {name: plain[name] for name in ("policy", "version")}
        plain.clear()
        plain.update(kept | {"length": 12} | rules)

    workspace = mini.changed(tested_slice.workspace, folder, slate=slate)
    return slates.TestSlice(
        workspace, tested_slice.candidates, tested_slice.complete, tested_slice.examination
    )
