"""Who comes back: satisfied people do, annoyed ones leave, and those who leave do not return."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.datasets.world.catalog import draw_users
from tasks.datasets.world.entities import Happened, Outcomes, Shown, Users
from tasks.datasets.world.visits import VISITS_PER_USER, Visitors

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
