"""Served predictions against those of the release that served, and the feature that serving did not have."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from tasks.evaluation.subjects import Subject
from tasks.labels.store import LabelStore
from tasks.logs.rows import DayRange
from tasks.monitoring.alarms import read_alarms
from tasks.monitoring.serving import measure_distances, measure_parity, read_train_rows
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
from tests.monitoring.test_alarms import FIRST, table

CLICKS = Subject("served_difference", task="click_1d")
WITHOUT_PRICE = replace(CLICKS, feature="price")


@pytest.fixture(scope="module")
def traffic(labelled_feed: tuple[Workspace, str], released: ReleaseResult) -> LoggedTraffic:
    """The last day of the feed, served by its release."""
    workspace, name = labelled_feed
    snapshot = LabelStore(workspace.store, workspace.surface).snapshot(name)
    last = snapshot.dates()[-1]
    releases = ServingReleases(workspace, released.version)
    found = LoggedTraffic.read(workspace, snapshot, DayRange(last, last), releases)
    frame = found.frame.assign(release=released.version)
    served = releases.predict(frame, np.full(len(frame), float(released.version)))
    return replace(found, frame=frame.assign(served_p_click_1d=served["click_1d"]))


def served_without(traffic: LoggedTraffic, feature: str, every: int) -> LoggedTraffic:
    """Return the traffic where serving did not have a feature of every so many requests."""
    lacking = traffic.requests % every == 0
    blind = traffic.frame.assign(**{feature: traffic.frame[feature].mask(lacking)})
    served = traffic.releases.predict(blind, traffic.served_by)
    return replace(traffic, frame=traffic.frame.assign(served_p_click_1d=served["click_1d"]))


def test_what_the_release_gives_again_does_not_differ(traffic: LoggedTraffic) -> None:
    (figure,) = measure_parity(traffic, np.ones(len(traffic.frame), dtype=bool))
    assert (figure.subject, figure.value) == (CLICKS, 0.0)
    assert figure.rows == len(traffic.frame)  # 90 requests, fewer than are drawn


def test_the_feature_that_serving_did_not_have_is_named(traffic: LoggedTraffic) -> None:
    blind = served_without(traffic, "price", every=3)
    found = {one.subject: one for one in measure_parity(blind, np.ones(len(traffic.frame), dtype=bool))}
    assert set(found) == {CLICKS, WITHOUT_PRICE}
    assert 0.2 < found[CLICKS].value <= 1 / 3
    assert found[WITHOUT_PRICE].value == 1.0


def test_a_difference_is_a_critical_alarm_that_names_the_feature() -> None:
    values = np.r_[np.zeros(20), 0.3, 0.4]
    rows = table(22, served=("served_difference", "click", values)).assign(high=np.nan)
    named = rows.tail(1).assign(feature="price", value=1.0)
    (alarm,) = read_alarms(rows.merge(named, how="outer"), critical=[], sent={}).current
    assert (alarm.critical, alarm.since, alarm.before) == (True, FIRST + timedelta(days=20), 0.0)
    assert alarm.now == pytest.approx(0.35)
    assert alarm.action.endswith("Serving most likely read price as missing.")


def test_a_shifted_feature_lies_beyond_the_distances_among_train_days(traffic: LoggedTraffic) -> None:
    trained = read_train_rows(traffic.snapshot, traffic.releases)
    assert trained is not None
    (day,) = traffic.snapshot.dates()[-1:]
    usual = {one.subject: one for _, one in measure_distances(trained, traffic, [day])}
    shifted = replace(traffic, frame=traffic.frame.assign(price=traffic.frame["price"] * 3))
    moved = {one.subject: one for _, one in measure_distances(trained, shifted, [day])}
    beyond = {of for of, one in moved.items() if one.value > one.high}
    assert not any(one.value > one.high for one in usual.values())
    assert Subject("feature_distance", feature="price") in beyond
    assert {of.feature for of in beyond} <= {"price", ""}
    assert list(measure_distances(trained, traffic, [trained.last_day])) == []


def test_an_alarm_names_the_feature_that_changed_from_its_first_day_on() -> None:
    rows = table(12, price=("feature_distance", "", np.r_[np.full(10, 0.01), 0.4, 0.5]))
    (alarm,) = read_alarms(rows.assign(feature="price", high=0.08), critical=[], sent={}).current
    assert (alarm.name, alarm.critical) == ("feature distance of price", False)
    assert alarm.since == FIRST + timedelta(days=10)
    assert [alarm.before, alarm.now] == pytest.approx([0.01, 0.45])
