"""Predictions of logged rows: those that were logged, else those of the release that served, else the champion's."""

from datetime import date

import numpy as np
import pytest

from tasks.labels.store import LabelStore
from tasks.logs.rows import DayRange
from tasks.monitoring.traffic import LoggedTraffic, ServingReleases
from tasks.release.step import ReleaseResult
from tasks.release.view import load
from tasks.stores.workspace import Workspace

Feed = tuple[Workspace, str]
DAY = date(2026, 2, 3)


def traffic(feed: Feed, champion: int | None) -> LoggedTraffic:
    workspace, snapshot = feed
    labels = LabelStore(workspace.store, workspace.surface).snapshot(snapshot)
    return LoggedTraffic.read(workspace, labels, DayRange(DAY, DAY), ServingReleases(workspace, champion))


def test_rows_of_no_logged_release_are_predicted_by_the_champion(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    read = traffic(labelled_feed, released.version)
    scored = load(labelled_feed[0], released.version).score(read.frame)
    for task, column in {"click_1d": "p_click_1d", "back_2d": "p_back_2d", "spend_2d": "v_spend_2d"}.items():
        assert read.predictions[task] == pytest.approx(scored[column].to_numpy(float))


def test_a_logged_prediction_stays_and_the_release_that_served_predicts_the_others(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    whole = traffic(labelled_feed, None)
    logged = np.where(np.arange(len(whole.frame)) % 2, 0.25, np.nan)
    whole.frame["served_p_click_1d"], whole.frame["release"] = logged, released.version
    scored = load(labelled_feed[0], released.version).score(whole.frame)["p_click_1d"].to_numpy(float)
    assert whole.predictions["click_1d"] == pytest.approx(np.where(np.isnan(logged), scored, 0.25))


def test_outcomes_of_a_chain_are_known_where_the_parent_did_not_happen(
    labelled_feed: Feed, released: ReleaseResult
) -> None:
    read = traffic(labelled_feed, released.version)
    bought = read.frame["buy_2d"].to_numpy(float, na_value=np.nan)
    back = read.outcomes("back_2d")
    assert (back[bought == 0] == 0).all()
    assert np.isfinite(back[bought == 1]).all()
