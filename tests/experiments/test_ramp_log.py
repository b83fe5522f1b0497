"""A user's arm is a hash: shares hold, nobody goes back, and ramps do not follow each other."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contracts.gates import UserPool
from tasks.experiments.ramp_log import RampLog, assign, in_pool, place_of
from tests.feeds import ramp_feed


def places(surface: str, release: int, *, users: int = 20_000) -> np.ndarray:
    return np.array([place_of(f"u{n}", surface=surface, release=release) for n in range(users)])


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_the_share_of_treated_users_is_the_declared_one_within_chance(share: float) -> None:
    treated = int((places("feed", 7) < share).sum())
    assert abs(treated - 20_000 * share) < 4 * (20_000 * share * (1 - share)) ** 0.5


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_who_is_treated_at_a_share_is_treated_at_every_larger_one(user: str, one: float, two: float) -> None:
    place = place_of(user, surface="feed", release=7)
    assert 0 <= place < 1
    assert (place < min(one, two)) <= (place < max(one, two))


@pytest.mark.parametrize("other", [("feed", 8), ("list", 7)])
def test_ramps_of_other_releases_and_surfaces_are_independent(other: tuple[str, int]) -> None:
    both = float(((places("feed", 7) < 0.25) & (places(*other) < 0.25)).mean())
    assert both == pytest.approx(1 / 16, abs=0.007)


def test_the_place_is_that_of_the_documented_hash() -> None:
    """``printf f:7:é-17 | sha256sum`` begins with 3ed57217588f7915, in every process and language."""
    assert place_of("é-17", surface="f", release=7) == (0x3ED57217588F7915 >> 11) / 2**53


STAGES = 20
SHARES = tuple((np.arange(STAGES) + 1) / 40)


def logged(rng: np.random.Generator, *, lost: float = 0.0, users: int = 2_000) -> RampLog:
    """Log users who come back in half of the stages; some treated visits after the first stage are lost."""
    place, stages = rng.random(users)[:, None], np.arange(STAGES)
    treated = place < np.array(SHARES)
    seen = rng.random((users, STAGES)) < 0.5
    seen &= ~(treated & (stages > 0) & (rng.random((users, STAGES)) < lost))
    user, stage = np.nonzero(seen)
    rows = pd.DataFrame({"user": user, "stage": stage, "first": stage + 0.5, "last": stage + 0.6})
    return RampLog(rows, treated[seen], SHARES, datetime(2026, 1, 1, tzinfo=UTC))


def test_users_who_return_in_every_stage_raise_no_false_alarm_of_the_shares() -> None:
    rng = np.random.default_rng(3)
    alarms = sum(bool(logged(rng).problems(waited=timedelta(days=1))) for _ in range(300))
    assert alarms <= 3


def test_treated_visits_that_are_lost_after_the_first_stage_differ_from_the_declared_shares() -> None:
    (problem,) = logged(np.random.default_rng(4), lost=0.5).problems(waited=timedelta(days=1))
    assert "are not the declared shares (0.025, 0.05," in problem


def test_pools_are_disjoint_and_independent_of_the_places_in_them() -> None:
    halves = UserPool(1, 0.0, 0.5), UserPool(2, 0.5, 1.0)
    inside = np.array([[in_pool(pool, f"u{n}", "feed") for n in range(20_000)] for pool in halves])
    assert (inside[0] ^ inside[1]).all()
    assert float(inside[0].mean()) == pytest.approx(0.5, abs=0.015)
    assert float((places("feed", 7) < 0.25)[inside[0]].mean()) == pytest.approx(0.25, abs=0.015)


def test_users_get_the_release_of_their_arm(tmp_path: Path) -> None:
    workspace = ramp_feed.ramping(tmp_path)
    users = [f"u{n}" for n in range(200)]
    result = assign(workspace, users)
    assert (result.champion, [(one.release, one.share) for one in result.ramps]) == (1, [(2, 0.25)])
    assert {(one.arm.value, one.release) for one in result.users} == {("treatment", 2), ("control", 1)}
    assert all(
        (one.arm == "treatment") == (one.place is not None and one.place < 0.25) for one in result.users
    )
