"""The written tables: candidates, impressions, events and the truth have the rows and columns of one another."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from tasks.datasets.world.tables import Clock, request_names, user_ids
from tests.datasets.world.conftest import Made

KEY = ["request_id", "item_id"]
CLOCK = Clock(datetime(2026, 1, 1, tzinfo=UTC))


def test_the_clock_begins_at_the_worlds_first_midnight() -> None:
    assert CLOCK.instants(np.array([0, 1_000_000])).to_pylist() == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    ]
    assert CLOCK.stamp(31) == "20260201"


def test_people_and_requests_have_names_of_one_width() -> None:
    assert user_ids(np.array([7, 123_456])).tolist() == ["u000007", "u123456"]
    assert request_names(CLOCK, 1, 8, 2).tolist() == ["r20260102-000008", "r20260102-000009"]


def test_a_row_that_was_not_shown_has_no_position(made: Made) -> None:
    candidates = made.frame("candidates")
    for column in ("position", "propensity", "visible"):
        assert (candidates[column].notna() == candidates["shown"]).all()


def test_impressions_are_the_shown_candidates_with_the_same_columns(made: Made) -> None:
    candidates, impressions = made.table("candidates"), made.table("impressions")
    assert impressions.schema == candidates.drop_columns(["shown"]).schema
    shown = candidates.filter(candidates["shown"]).drop_columns(["shown"])
    order = [("request_id", "ascending"), ("position", "ascending")]
    assert shown.sort_by(order).equals(impressions.sort_by(order))


def test_times_are_utc_and_ids_are_words(made: Made) -> None:
    for name, times in (("impressions", ["shown_at"]), ("events", ["happened_at", "ingested_at"])):
        schema = made.table(name).schema
        assert all(schema.field(t).type == pa.timestamp("us", tz="UTC") for t in times)
        assert all(schema.field(i).type == pa.string() for i in ("request_id", "user_id", "item_id"))


def test_orders_name_no_request_and_absences_only_an_item_or_a_person(made: Made) -> None:
    named = made.frame("events").groupby("event")[["request_id", "user_id", "item_id"]].count()
    size = made.frame("events").groupby("event").size()
    for event in ("click", "dwell", "add_to_cart", "hide", "survey"):
        assert (named.loc[event] == size[event]).all()
    assert named.loc[["purchase", "return"], "request_id"].tolist() == [0, 0]
    assert named.loc["out_of_stock"].to_numpy().tolist() == [0, 0, size["out_of_stock"]]
    assert named.loc["ineligible"].to_numpy().tolist() == [0, size["ineligible"], 0]


def test_the_truth_has_a_row_for_every_impression_and_probabilities(made: Made) -> None:
    truth = made.frame("truth")
    assert truth[KEY].equals(made.frame("impressions")[KEY])
    for column in (c for c in map(str, truth) if c.startswith("p_")):
        assert truth[column].between(0, 1, inclusive="neither").all()
    for column in (c for c in map(str, truth) if c.endswith("__shown")):
        assert (truth[column] <= truth[column.removesuffix("__shown")]).all()
    assert (truth["p_return_30d"] < truth["p_purchase_7d"]).all()


def test_the_truth_of_all_candidates_agrees_with_that_of_the_shown(made: Made) -> None:
    both = made.frame("truth").merge(made.frame("candidate_truth"), on=KEY, suffixes=("", "__again"))
    assert len(both) == made.result.impressions
    assert (both["p_purchase_7d"] == both["p_purchase_7d__again"]).all()
