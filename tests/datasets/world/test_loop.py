"""The closed loop: releases serve, people respond at their own pace, and the log is what was served.

Who comes back: satisfied people do, annoyed ones leave, and those who leave do not return.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.slate import Exploration, SlateSpec
from tasks.contracts.utility import UtilitySpec, Weight
from tasks.datasets.world.catalog import draw_users
from tasks.datasets.world.entities import SHELVES, Happened, Outcomes, Shown, Users
from tasks.datasets.world.loop import (
    VISITS_PER_USER,
    ClosedLoop,
    LoopDay,
    Served,
    Visitors,
    serve_arms,
    serve_decision,
)
from tasks.errors import ContractError, DataError
from tasks.experiments.ramp_log import place_of
from tasks.ranking.decide import decide

UTILITY = UtilitySpec(
    policy="u", version=1, owner="o", approvals=("product",), weights={"click_30m": Weight(weight=1.0)}
)
AMONG, SHARE = 12, 0.3
SLATE = SlateSpec(policy="s", version=1, length=6, exploration=Exploration(slots=1, salt="x", among=AMONG))


class Release:
    """Ranks by a logged column and explores its last slot."""

    def __init__(self, column: str, version: str, sign: float = 1.0) -> None:
        self.column, self.version, self.sign = column, version, sign

    def __call__(self, candidates: pd.DataFrame) -> Served:
        score = 1 / (1 + np.exp(-self.sign * candidates[self.column].to_numpy(dtype=np.float64)))
        predictions = {"p_click_30m": score}
        arm = "treatment" if self.version == "2" else "control"
        decision = decide(candidates, predictions, UTILITY, SLATE)
        return serve_decision(decision, predictions, release=self.version, experiment="e", arm=arm)


CHAMPION, CHALLENGER = Release("user_category_affinity", "1"), Release("retrieval_score", "2")


def ramped(candidates: pd.DataFrame) -> Served:
    return serve_arms(
        candidates,
        lambda user: int(place_of(user, surface="home_feed", release=2) < SHARE),
        (CHAMPION, CHALLENGER),
    )


@pytest.fixture(scope="module")
def ramp() -> list[LoopDay]:
    loop = ClosedLoop(seed=7, requests_per_day=400, days=5)
    return [loop.play(ramped) for _ in range(4)]


@pytest.fixture(scope="module")
def impressions(ramp: list[LoopDay]) -> pd.DataFrame:
    return pd.concat([day.tables["impressions"].to_pandas() for day in ramp], ignore_index=True)


def test_the_same_seed_gives_the_same_bytes_whatever_days_follow(ramp: list[LoopDay], tmp_path: Path) -> None:
    loop = ClosedLoop(seed=7, requests_per_day=400, days=40)
    for day in ramp[:2]:
        day.write(tmp_path / "a")
        loop.play(ramped).write(tmp_path / "b")
    files = sorted(file.relative_to(tmp_path / "a") for file in (tmp_path / "a").rglob("*.parquet"))
    assert [str(file) for file in files[:2]] == [
        "candidates/2026-01-01.parquet",
        "candidates/2026-01-02.parquet",
    ]
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_log_is_what_was_served(ramp: list[LoopDay], impressions: pd.DataFrame) -> None:
    candidates = ramp[0].tables["candidates"].to_pandas()
    by_request = candidates.groupby("request_id")["position"].apply(lambda slots: sorted(slots.dropna()))
    assert (by_request.map(list) == by_request.map(lambda _: [1, 2, 3, 4, 5, 6])).all()
    assert (candidates["shown"] == candidates["position"].notna()).all()
    assert ((impressions["release"] == "2") == (impressions["arm"] == "treatment")).all()
    assert (impressions["experiment"] == "e").all()
    assert np.allclose(impressions["served_p_click_30m"], impressions["served_utility"])


def test_arms_have_their_shares_and_nobody_is_in_both(impressions: pd.DataFrame) -> None:
    arms = impressions.groupby("user_id")["arm"].unique()
    assert (arms.map(len) == 1).all()
    treated = arms.map(lambda arm: arm[0] == "treatment").mean()
    assert abs(treated - SHARE) < 4 * np.sqrt(SHARE * (1 - SHARE) / len(arms))


def test_propensities_of_explored_slots_are_exact(ramp: list[LoopDay]) -> None:
    candidates = pd.concat([day.tables["candidates"].to_pandas() for day in ramp])
    drawable, shown = candidates["drawable"], candidates["shown"]
    by_request = candidates.assign(
        probability=candidates["propensity"].where(drawable), drawn=drawable & shown
    ).groupby("request_id")
    pools = by_request["drawable"].sum()
    assert (pools == AMONG).all()
    assert (by_request["drawn"].sum() == 1).all()
    assert np.allclose(by_request["probability"].sum() * pools, 1)
    assert (candidates.loc[shown & ~drawable, "propensity"] == 1).all()
    place = candidates[drawable].groupby("request_id").cumcount()[candidates.loc[drawable, "shown"]]
    counts = np.bincount(place, minlength=AMONG)
    assert (abs(counts / counts.sum() - 1 / AMONG) < 4 * np.sqrt(1 / AMONG / counts.sum())).all()


def test_what_happens_is_as_likely_as_the_truth(ramp: list[LoopDay]) -> None:
    expected = happened = 0.0
    for day in ramp:
        seen = np.asarray((1.0, 0.92, 0.84, 0.77, 0.71, 0.66))[day.shown.position - 1]
        expected += float((day.truth["hide_7d"][day.shown.row] * seen).sum())
        happened += sum(len(kind.row) for kind in day.outcomes.events if kind.event == "hide")
    assert abs(happened - expected) < 4 * np.sqrt(expected)


def test_a_harmful_release_does_true_harm() -> None:
    worse = Release("item_hide_rate", "2")
    value = {}
    for name, server in (("champion", CHAMPION), ("harmful", worse)):
        day = ClosedLoop(seed=7, requests_per_day=400, days=1).play(server)
        value[name] = day.truth["hide_7d"][day.shown.row].mean()
    assert value["harmful"] > 1.3 * value["champion"]


def test_a_feed_that_annoys_loses_people() -> None:
    present = {}
    for name, server in (
        ("good", Release("item_hide_rate", "1", -3.0)),
        ("bad", Release("item_hide_rate", "2")),
    ):
        loop = ClosedLoop(seed=7, requests_per_day=200, days=8)
        for _ in range(8):
            loop.play(server)
        present[name] = (loop.visitors.left.sum(), loop.visitors.mood.mean())
    assert present["bad"][0] > present["good"][0]
    assert present["bad"][1] < present["good"][1]


def test_delays_differ_by_person(ramp: list[LoopDay]) -> None:
    world_delays = ClosedLoop(seed=7, requests_per_day=400, days=5).world.delays
    assert world_delays is not None
    late, own = [], []
    for day in ramp:
        (hides,) = (kind for kind in day.outcomes.events if kind.event == "hide")
        since = np.take(day.shown.at, hides.row)
        late.append(hides.at - since)
        own.append(world_delays[day.shown.user[hides.row]])
    delay, pace = np.concatenate(late), np.concatenate(own)
    slow = pace > np.median(pace)
    assert np.median(delay[slow]) > 1.3 * np.median(delay[~slow])


def test_a_tenth_of_the_items_is_new_each_week() -> None:
    catalog = ClosedLoop(seed=7, requests_per_day=20, days=30).world.catalog
    new = np.mean([(catalog.age(day)[catalog.on_shelf(day)] < 7).mean() for day in (7, 14, 21)])
    assert abs(new - 0.1) < 0.01


def test_a_small_feed_offers_nearly_all_items_in_every_request() -> None:
    day = ClosedLoop(seed=7, requests_per_day=50, days=1, shelves=300).play()
    assert day.batch.item.shape[1] == 280
    assert len(np.unique(day.batch.item)) > 280
    assert (day.batch.item % SHELVES).max() < 300
    assert len(day.tables["candidates"]) == day.batch.item.size


@pytest.mark.parametrize("position", [[13] + [0] * 39, [1, 1] + [0] * 38, [-1] + [0] * 39])
def test_a_slot_that_cannot_be_filled_is_refused(position: list[int]) -> None:
    def wrong(candidates: pd.DataFrame) -> Served:
        return Served(np.tile(position, len(candidates) // 40), np.ones(len(candidates)))

    with pytest.raises(DataError):
        ClosedLoop(seed=7, requests_per_day=20, days=1).play(wrong)


def test_too_small_a_feed_and_a_day_too_many_are_refused() -> None:
    with pytest.raises(ContractError, match="Give 20 or more"):
        ClosedLoop(seed=7, requests_per_day=19, days=1)
    loop = ClosedLoop(seed=7, requests_per_day=20, days=1)
    loop.play()
    with pytest.raises(DataError, match="all are played"):
        loop.play()


SEED, PEOPLE = 3, 5000


@pytest.fixture(scope="module")
def users() -> Users:
    return draw_users(SEED, 2 * PEOPLE)


@pytest.fixture(scope="module")
def visitors(users: Users) -> Visitors:
    return Visitors.of(users, PEOPLE)


def shown_to(user: np.ndarray) -> Shown:
    n = len(user)
    ones = np.ones(n)
    zeros = np.zeros(n, dtype=np.int64)
    return Shown(np.arange(n), np.arange(n), user, zeros, ones.astype(np.int16), ones, zeros, ones, ones)


def came_of(count: int, **rows: np.ndarray) -> Outcomes:
    """Events of the named kinds in some rows; a dwell lasts two minutes."""
    none = np.zeros(0, dtype=np.int64)
    events = []
    for name in ("dwell", "hide", "report"):
        row = rows.get(name, none)
        events.append(Happened(name, row, row, row, np.full(len(row), 120.0), tagged=True))
    return Outcomes(np.ones(count, dtype=bool), tuple(events))


def test_people_visit_as_often_as_declared_on_the_first_day(visitors: Visitors) -> None:
    visits = np.mean([visitors.come(SEED, day).sum() for day in range(20)])
    assert abs(visits / (PEOPLE * VISITS_PER_USER) - 1) < 0.03
    assert not visitors.come(SEED, 0)[PEOPLE:].any()


def test_content_people_return_sooner_and_annoyed_ones_later(visitors: Visitors) -> None:
    content, annoyed = np.arange(1000), np.arange(1000, 2000)
    user = np.concatenate([content, annoyed])
    after = visitors.respond(shown_to(user), came_of(2000, dwell=content, hide=annoyed), SEED, day=0)
    assert after.mood[content].min() > 0 > after.mood[annoyed].max()
    assert (after.mood[2000:] == 0).all()
    days = range(1, 60)
    returns = np.sum([after.come(SEED, day) for day in days], axis=0)
    before = np.sum([visitors.come(SEED, day) for day in days], axis=0)
    assert returns[content].sum() > before[content].sum()
    assert returns[annoyed].sum() < before[annoyed].sum()


def test_a_mood_fades(visitors: Visitors) -> None:
    moody = replace(visitors, mood=np.full(2 * PEOPLE, -1.0, dtype=np.float32))
    nobody = shown_to(np.zeros(0, dtype=np.int64))
    assert np.allclose(moody.respond(nobody, came_of(0), SEED, 0).mood, -0.97)


def test_a_report_drives_more_people_away_than_a_hide_and_nobody_leaves_without(visitors: Visitors) -> None:
    user = np.arange(4000)
    after = visitors.respond(shown_to(user), came_of(4000, hide=user[:2000], report=user[2000:]), SEED, day=0)
    assert 0 < after.left[:2000].sum() < after.left[2000:4000].sum()
    assert not after.left[4000:].any()


def test_who_leaves_does_not_return_and_newcomers_come(visitors: Visitors) -> None:
    user = np.arange(4000)
    after = visitors.respond(shown_to(user), came_of(4000, report=user), SEED, day=0)
    gone, nobody = after.left, shown_to(np.zeros(0, dtype=np.int64))
    for day in range(1, 40):
        assert not after.come(SEED, day)[gone].any()
        after = after.respond(nobody, came_of(0), SEED, day)
    assert not after.present[gone].any()
    assert after.present[PEOPLE:].any()
