"""Events of the audit and the return of users: rows of the series, and marks on the page."""

import numpy as np
import pandas as pd
import pytest

from tasks.contracts import UtilitySpec
from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.release.view import changed_constraints, changed_weights
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.feeds.toy_release import UTILITY
from tests.monitoring.served_log import FIRST, ServedLog, day_after, series
from tests.monitoring.test_monitor import one

DAYS = 20
Moved = tuple[ServedLog, Workspace, pd.DataFrame]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Moved:
    """A surface whose release 2 was promoted on its tenth day, monitored twice; the fourteenth day had few users."""
    log = ServedLog.of(tmp_path_factory.mktemp("moved"), days=DAYS, requests=6)
    workspace = log.write()
    labels.run(workspace, as_of=day_after(DAYS))
    for kind, days in ((Kind.PROMOTE, 9.5), (Kind.APPROVE, 9.6), (Kind.CANARY, DAYS + 5)):
        entry = Entry(kind, "ana", 2, 1, "better", at=day_after(days), share=0.05)
        workspace.audit.append(entry, seen=workspace.audit.read())
    for days in (DAYS - 2, DAYS):
        monitor.run(workspace, as_of=day_after(days))
    return log, workspace, series(workspace)


def test_a_move_of_an_alias_is_stored_once_and_marked_on_the_page(moved: Moved) -> None:
    _, workspace, table = moved
    (event,) = (row for _, row in table[table["metric"] == "event"].iterrows())
    assert (event["day"], event["column"], event["release"]) == (day_after(9).date(), "promote", 2)
    page = monitor.read_page(workspace)
    assert (
        f"{day_after(9).date()}: promote: release 2 to 5% of the users, champion was 1</title></path>" in page
    )
    assert "<td>promote: release 2 to 5% of the users, champion was 1</td>" in page


def test_the_changes_of_a_policy_are_named() -> None:
    plain = UTILITY.model_dump(mode="json")
    plain["weights"]["click_30m"]["weight"] = 1.5
    plain["hard_constraints"] = [{"name": "adult", "keep_when": {"column": "permitted", "equals": True}}]
    plain["relevance_floor"] = {"click_30m": 0.1}
    other = UtilitySpec.model_validate(plain)
    assert changed_weights(UTILITY, other) == ["click_30m 1 to 1.5"]
    named = ["not_permitted removed", "floor of click_30m added", "adult added"]
    assert sorted(changed_constraints(UTILITY, other)) == sorted(named)
    best = {"greater_of": ["click_30m", "hide_7d"], "weight": 2.0, "where": {"click_30m": {"min": 0.2}}}
    termed = UtilitySpec.model_validate(UTILITY.model_dump(mode="json") | {"terms": {"best": best}})
    (change,) = changed_weights(UTILITY, termed)
    assert change == (
        "best without weight to 2 x greater of click_30m and hide_7d where click_30m is at least 0.2"
    )
    assert changed_weights(other, other) == changed_constraints(other, other) == []


def test_a_day_s_users_are_counted_once_the_seven_days_after_it_are_over(moved: Moved) -> None:
    log, _, table = moved
    shown = (log.rows["shown_at"] - pd.Timestamp(FIRST)).dt.days
    days = log.rows.assign(day=shown).groupby("user_id")["day"].agg(lambda of: sorted(set(of)))
    waits = np.array([next((x - 5 for x in own if x > 5), np.inf) for own in days if 5 in own])
    found = one(table, "returned_share", "", 5)
    assert (found["value"], found["n"]) == (pytest.approx((waits <= 7).mean()), len(waits))
    assert one(table, "return_days", "", 5)["value"] == pytest.approx(np.minimum(waits, 7).mean())
    ends = table[table["metric"] == "returned_share"]["day"]
    assert ends.max() == day_after(DAYS - 8).date()
    assert not table[table["metric"] == "returned_share"].duplicated(["day", "days", "release"]).any()


def test_a_week_s_interval_has_users_as_units_and_each_release_its_own(moved: Moved) -> None:
    log, _, table = moved
    week = one(table, "returned_share", "", 6, days=7)
    users = log.rows[log.rows["shown_at"] < pd.Timestamp(day_after(7))]["user_id"].nunique()
    assert week["n"] == users < week["rows"]
    assert week["low"] < week["value"] < week["high"]
    assert set(table[table["metric"] == "returned_share"]["release"].dropna()) == {1}
