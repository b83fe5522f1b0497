"""Slates over a test slice: a release's own, and another policy's."""

from typing import Any

import numpy as np
import pandas as pd

from tasks.contracts import UtilitySpec
from tasks.contracts.metrics import Metric, MetricKind
from tasks.replay import slates
from tasks.replay.log import PolicySlates
from tasks.replay.replay_policies import Replay
from tasks.replay.slates import Scored, with_fresh_draws
from tests.feeds.mini import LATER
from tests.known import known
from tests.replay.worlds import NO_POLICY

LOG = pd.DataFrame(
    {"request_id": ["b", "a", "b"], "item_id": ["x", "y", "z"], "propensity": [0.5, 1.0, None]},
    index=[4, 2, 9],
)


def test_rows_of_a_request_stay_together_and_nothing_else_changes() -> None:
    renamed = with_fresh_draws(LOG)
    assert renamed["request_id"].tolist() == ["replay of b", "replay of a", "replay of b"]
    pd.testing.assert_frame_equal(renamed.drop(columns="request_id"), LOG.drop(columns="request_id"))


def test_an_id_is_renamed_alike_in_every_part_of_the_candidates() -> None:
    parts = [with_fresh_draws(LOG.iloc[rows])["request_id"].tolist() for rows in ([0], [1, 2])]
    assert [*parts[0], *parts[1]] == with_fresh_draws(LOG)["request_id"].tolist()


def test_a_log_without_propensities_is_left_alone() -> None:
    silent = LOG.drop(columns="propensity")
    assert with_fresh_draws(silent) is silent


def test_without_candidates_there_is_nothing_to_rename() -> None:
    assert with_fresh_draws(LOG.iloc[:0]).empty


FRAME = pd.DataFrame(
    {"p_click": [0.1, 0.2], "p_click__shown": [0.4, np.nan], "p_buy": [0.5, 0.6], "note": ["a", "b"]}
)


def test_a_column_is_that_at_the_logged_place_where_there_is_one() -> None:
    where = Scored(PolicySlates("p", np.zeros(2, dtype=int)), FRAME, {}, NO_POLICY).where_logged
    assert where["p_click"].tolist() == [0.4, 0.2]
    assert where["p_buy"].tolist() == [0.5, 0.6]


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
    best = tested_slice.slates_by(policy, scored, "fortune")
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
    again = tested_slice.slates_by(tested_slice.contracts.utility, scored, "the same")
    np.testing.assert_array_equal(again.slot, scored.slates.slot)
    np.testing.assert_allclose(known(again.utility), known(scored.slates.utility), rtol=1e-12)


def test_contributions_add_up_to_the_utility(scored: Scored) -> None:
    total = np.sum(list(scored.slates.contributions.values()), axis=0)
    np.testing.assert_allclose(total, known(scored.slates.utility), rtol=1e-9, atol=1e-12)


def test_the_joint_probability_of_a_return_is_below_that_of_its_purchase(scored: Scored) -> None:
    predictions = scored.slates.predictions
    assert (predictions["return_5d"] < predictions["purchase_2d"]).all()


def test_terms_add_up_to_the_utility_of_a_release_and_worth_is_by_outcome(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    terms = {
        "dear": {"column": "margin", "weight": -0.1, "cap": 2},
        "best": {"greater_of": ["click_30m", "purchase_2d"], "weight": 1.0},
        "liked": {"task": "purchase_2d", "weight": 5.0, "where": {"click_30m": {"min": 0.1}}},
    }
    policy = _policy(tested_slice, weights={"click_30m": 0.4}, terms=terms)
    made = tested_slice.slates_by(policy, scored, "p")
    click, purchase = (made.predictions[task] for task in ("click_30m", "purchase_2d"))
    margin = tested_slice.candidates["margin"].to_numpy(dtype=float)
    liked = np.where(click >= 0.1, 5.0, 0.0)
    assert 0 < np.count_nonzero(liked) < len(liked)
    expected = 0.4 * click - 0.1 * np.minimum(margin, 2) + np.maximum(click, purchase) + liked * purchase
    np.testing.assert_allclose(known(made.utility), expected, rtol=1e-9)
    np.testing.assert_allclose(made.total, expected, rtol=1e-9)
    assert sorted(made.worth) == ["click_30m", "dear", "purchase_2d"]
    np.testing.assert_allclose(made.worth["purchase_2d"], liked + (purchase > click))
    replay = Replay(tested_slice.log, made)
    (observed,) = replay.measure(Metric(MetricKind.OBSERVED_UTILITY), made, made, ())
    assert np.isfinite(known(observed.policy).value)


def _policy(tested_slice: slates.TestSlice, **changes: Any) -> UtilitySpec:
    plain = tested_slice.contracts.utility.model_dump(mode="json") | {"relevance_floor": {}, "contexts": []}
    return UtilitySpec.model_validate(plain | changes)


def test_what_only_a_context_adds_contributes_nothing_elsewhere(
    tested_slice: slates.TestSlice, scored: Scored
) -> None:
    context = {"name": "new", "when": {"user_tenure": ["new"]}, "weights": {"hide_2d": -10.0}}
    policy = _policy(tested_slice, weights={"click_30m": 0.4}, contexts=[context])
    made = tested_slice.slates_by(policy, scored, "p")
    new = (tested_slice.candidates["user_tenure"] == "new").to_numpy(dtype=bool)
    assert new.any()
    assert np.isnan(made.contributions["hide_2d"]).tolist() == (~new).tolist()
    np.testing.assert_allclose(made.total, known(made.utility), rtol=1e-12)
