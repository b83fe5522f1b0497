"""An order that stands in for a champion: the logged one, or that of a column, under a release's rules."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import canonical
from tasks.errors import DataError
from tasks.ranking.policy import UtilityPolicy
from tasks.replay import slates
from tasks.replay.orders import baseline_order, rank_as
from tasks.replay.scored import Scored
from tests.feeds import mini


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
    policy = UtilityPolicy.from_json(plain)
    ordered = baseline_order(tested_slice, replace(scored, policy=policy), "price")
    candidates = tested_slice.candidates
    fresh, ads = candidates["user_tenure"] == "new", candidates["source"] == "sponsored"
    assert not ordered.slot[(fresh & ads).to_numpy()].any()
    assert ordered.slot[(~fresh & ads).to_numpy()].any()


def test_an_order_takes_the_requests_utilities_from_the_best_down() -> None:
    rows, requests = np.array([True, True, False, True]), np.array([0, 0, 0, 1])
    ranked = rank_as(
        np.array([2.0, 7.0, np.nan]), like=np.array([0.5, 0.2, 9.0, 0.1]), among=rows, requests=requests
    )
    assert ranked.tolist() == [0.2, 0.5, 0.1]


def test_a_column_that_no_candidate_has_is_named(
    tested_slice: slates.TestSlice, scored: Scored, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"Unknown column 'item_populrity'.*Did you mean 'item_popularity'"):
        baseline_order(_with_first(tested_slice, tmp_path, "item_populrity"), scored)


def _with_first(tested_slice: slates.TestSlice, folder: Path, column: str) -> slates.TestSlice:
    def first(plain: dict[str, Any]) -> None:
        plain["gates"]["decision"]["first"] = {"column": column}

    workspace = mini.changed(tested_slice.workspace, folder, surface=first)
    return slates.TestSlice(workspace, tested_slice.candidates, tested_slice.complete)
