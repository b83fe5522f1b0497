"""The exposure of a group is measured where it was shown, and feedback keeps it at its target."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.slate import Exposure, SlateSpec
from tasks.monitoring.exposure import EXPOSURE_RATIO, adjust_boosts, measure_exposure, next_boosts
from tasks.ranking.decide import find_boost
from tasks.ranking.examination import Examination
from tasks.stores.aliases import ReleaseAliases
from tasks.stores.audit import Entry, Kind
from tests.stores.registered import MODEL, new_aliases, register

EXPOSURE = Exposure(by="tier", least={"new": 0.8}, most=0.4)
SLATE = SlateSpec(policy="s", version=1, length=5, exposure=EXPOSURE)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def test_a_days_ratio_is_looks_over_those_that_the_merit_of_what_is_kept_is_due() -> None:
    """Looks are 1 and .5 in each request; new items have 1/4 and all of the merit."""
    frame = pd.DataFrame(
        {
            "request_id": [*"aaabb"],
            "position": [1, None, 2, 2, 1],
            "tier": ["old", "new", "old", "new", None],
        }
    )
    scored = pd.DataFrame(
        {"utility": [1.0, 1.0, 2.0, 3.0, np.nan], "dropped_by": [None, None, None, None, "unknown_value:x"]}
    )
    curve = Examination((2.0, 1.0))
    (figure,) = measure_exposure(scored, frame, np.array([0, 0, 0, 1, 1]), EXPOSURE, curve)
    assert (str(figure.subject), figure.value) == ("tier_exposure_ratio:new", 0.5 / (1.5 / 4 + 1.5))
    assert (
        list(measure_exposure(scored, frame[["request_id", "tier"]], np.zeros(5, int), EXPOSURE, None)) == []
    )


def test_the_loop_brings_a_group_to_its_target_and_keeps_it_there() -> None:
    """New items are undervalued: without a boost they have under half of what they merit."""
    rng, slate, ratios, boosts = np.random.default_rng(5), SLATE, list[float](), list[float]()
    for _ in range(60):
        ratio = serve_a_day(rng, slate)
        slate = slate.boosted({"tier": next_boosts(slate.exposure or EXPOSURE, {"new": ratio})})
        ratios.append(ratio)
        boosts.append((slate.exposure or EXPOSURE).boosts["new"])
    assert ratios[0] < 0.5
    assert np.mean(ratios[20:]) == pytest.approx(0.8, abs=0.04)
    assert all(abs(np.mean(ratios[day : day + 10]) - 0.8) < 0.08 for day in range(20, 50, 10))
    assert 0 < min(boosts[20:]) < max(boosts) < 0.4


def serve_a_day(rng: np.random.Generator, slate: SlateSpec) -> float:
    """Serve 200 requests of ten candidates by utility and boost; return the ratio of the new ones."""
    requests, each, users = 200, 10, np.repeat(np.arange(200), 10)
    tier = np.where(rng.random(requests * each) < 0.3, "new", "old")
    utility = rng.gamma(4.0, 0.1, requests * each) * np.where(tier == "new", 0.6, 1.0)
    boost = find_boost(pd.DataFrame({"tier": tier}), slate)
    score = utility if boost is None else utility + boost
    place = (-score.reshape(requests, each)).argsort(axis=1).argsort(axis=1).ravel() + 1.0
    frame = pd.DataFrame({"request_id": users, "position": np.where(place <= 3, place, np.nan), "tier": tier})
    scored = pd.DataFrame({"utility": utility, "dropped_by": None}, index=frame.index)
    (figure,) = measure_exposure(scored, frame, users, EXPOSURE, Examination((1.0, 0.8, 0.6)))
    return figure.value


@pytest.fixture
def aliases(tmp_path: Path) -> ReleaseAliases:
    """Two releases, the second of which is champion."""
    aliases = new_aliases(tmp_path)
    register(aliases, "0", "1")
    aliases.add(lambda *_: Entry(Kind.PROMOTE, "ana", 2, None, "better", at=NOON - timedelta(days=30)))
    return aliases


def adjusted(aliases: ReleaseAliases, as_of: datetime, *ratios: float) -> list[Entry]:
    """Run the feedback where the newest days had some ratios; return the rows of boosts in the audit."""
    last = as_of.date() - timedelta(days=1)
    days = [last - timedelta(days=n) for n in range(len(ratios))]
    rows = {"day": days, "metric": EXPOSURE_RATIO, "column": "tier", "value_of": "new", "value": ratios}
    assert list(adjust_boosts(aliases, SLATE, pd.DataFrame(rows), as_of=as_of)) == []
    return [one for one in aliases.audit.entries() if one.kind is Kind.EXPOSURE]


def tag(aliases: ReleaseAliases) -> str | None:
    return aliases.registry.model_tags(MODEL).get("exposure_boosts")


def test_a_step_is_a_row_of_the_audit_and_a_tag_and_is_taken_once(aliases: ReleaseAliases) -> None:
    assert (adjusted(aliases, NOON, 0.9, 1.1), tag(aliases)) == ([], None)
    (row,) = adjusted(aliases, NOON, 0.3, 0.5)
    assert (row.by, row.release, row.champion, row.at) == ("monitor", 2, 2, NOON)
    assert json.loads(tag(aliases) or "") == {"tier": {"new": 0.05}}
    assert adjusted(aliases, NOON, 0.3, 0.5) == [row]
    _, second = adjusted(aliases, NOON + timedelta(days=1), 0.6, 0.0)
    assert "exposure ratio of new 0.6, target 0.8" in second.why
    assert aliases.boosts() == {"tier": {"new": 0.075}}
    assert aliases.boosts(before=NOON + timedelta(days=1)) == {"tier": {"new": 0.05}}
    assert (aliases.boosts(before=NOON), aliases.mismatch()) == ({}, None)


def test_a_tag_that_somebody_changed_is_named_and_the_next_step_sets_it_right(
    aliases: ReleaseAliases,
) -> None:
    adjusted(aliases, NOON, 0.4)
    assert aliases.wrong_tags() == []
    aliases.registry.set_model_tag(MODEL, "exposure_boosts", '{"tier": {"new": 9}}')
    assert ["exposure_boosts" in problem for problem in aliases.wrong_tags()] == [True]
    aliases.settle()
    assert aliases.wrong_tags() == []


def test_without_a_champion_or_a_target_nothing_is_written(tmp_path: Path) -> None:
    empty = new_aliases(tmp_path)
    register(empty, "0")
    assert adjusted(empty, NOON, 0.1) == []
    plain = SLATE.model_copy(update={"exposure": None})
    assert list(adjust_boosts(empty, plain, pd.DataFrame(), as_of=NOON)) == []
