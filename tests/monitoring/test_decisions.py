"""What terms contribute and constraints drop, by the toy release's own decisions."""

import json
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.contracts.slate import Exposure, SlateSpec
from tasks.labels.store import LabelStore
from tasks.monitoring.decisions import (
    EXPOSURE_RATIO,
    adjust_boosts,
    measure_decisions,
    measure_exposure,
    next_boosts,
    read_decisions,
)
from tasks.monitoring.traffic import ServingReleases
from tasks.ranking.decide import find_boost
from tasks.ranking.examination import Examination
from tasks.ranking.scoring import Scorer
from tasks.release.loading import LoadedRelease
from tasks.release.step import ReleaseResult
from tasks.stores.aliases import ReleaseAliases
from tasks.stores.audit import Entry, Kind
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.feeds.small_feed import AS_OF, DAYS
from tests.feeds.toy_release import UTILITY, a_frame, toy_files
from tests.stores.registered import MODEL, new_aliases, register


def test_terms_share_the_utility_and_a_constraint_drops_what_it_does_not_permit() -> None:
    frame = a_frame(requests=80)
    scored = Scorer.from_files(toy_files()).score(frame, components=True, certificate=True)
    found = {f.subject: f for f in measure_decisions(scored, np.arange(len(frame)) // 4, UTILITY)}
    by_name = {(one.metric, one.task or one.constraint): figure for one, figure in found.items()}
    slots = scored["slate_position"].notna().groupby(frame["request_id"]).sum()
    assert by_name["unmet_share", "length"].value == pytest.approx((slots < 2).mean())
    assert (by_name["unmet_share", "max_per:source"].value, by_name["unmet_share", "length"].n) == (0.0, 80)
    assert by_name["dropped_share", "unknown_value:margin"].value == 0.0
    dropped = by_name["dropped_share", "not_permitted"]
    assert (dropped.value, dropped.n, dropped.rows) == ((~frame["permitted"]).mean(), 80, 320)
    assert dropped.low < dropped.value < dropped.high
    kept = scored[frame["permitted"]]
    sizes = kept[["contribution_click_30m", "contribution_buy_7d"]].abs().sum()
    share = sizes["contribution_click_30m"] / sizes.sum()
    assert by_name["contribution_share", "click_30m"].value == pytest.approx(share)
    assert by_name["contribution_share", "buy_7d"].value == pytest.approx(1 - share)


def test_a_hundred_requests_of_each_new_day_are_decided_by_the_champion(
    labelled_feed: tuple[Workspace, str], released: ReleaseResult
) -> None:
    workspace, snapshot = labelled_feed
    days = LabelStore(workspace.store, workspace.surface).snapshot(snapshot).dates()
    champion = ServingReleases(workspace, released.version)
    decided = {*days[:-2]}
    figures = list(read_decisions(workspace, champion, known_by=AS_OF, decided=decided))
    assert [*dict.fromkeys(one.day for one in figures)] == days[-2:]
    last = {one.figure.subject.task: one.figure for one in figures if one.day == days[-1]}
    assert sum(figure.value for figure in last.values()) == pytest.approx(1.0)
    assert 300 < last["click_1d"].rows <= 500  # five candidates of about 90 requests a day
    assert len(days) == DAYS
    nobody = ServingReleases(workspace, None)
    assert list(read_decisions(workspace, nobody, known_by=AS_OF, decided=set())) == []


def test_the_exposure_of_groups_with_a_target_is_measured_where_they_were_shown(
    second_retrain: Retrained,
) -> None:
    exposure = Exposure(by="source", least={"sponsored": 0.5, "explore": 0.5}, most=1.0)

    class Aiming(ServingReleases):
        """Releases whose slate policy has the target."""

        def find(self, version: int) -> LoadedRelease | None:
            loaded = super().find(version)
            assert loaded is not None
            model = copy(loaded._model)
            slate = model.scorer.slate.model_copy(update={"exposure": exposure})
            model.scorer = replace(model.scorer, slate=slate)
            return replace(loaded, _model=model)

    contracts = second_retrain.workspace.contracts
    slate = contracts.slate.model_copy(update={"exposure": exposure})
    workspace = second_retrain.workspace.under(replace(contracts, slate=slate))
    known_by = mini.LATER
    plain, aiming = (
        [*read_decisions(workspace, one(workspace, 2), known_by=known_by, decided=set())]
        for one in (ServingReleases, Aiming)
    )
    ratios = [one for one in aiming if one.figure.subject.metric == EXPOSURE_RATIO]
    assert {one.figure.subject.value for one in ratios} <= {"sponsored", "explore"}
    assert {one.day for one in ratios} == {one.day for one in plain}
    assert all(one.figure.value > 0 for one in ratios if one.figure.subject.value == "sponsored")
    assert [one for one in aiming if one not in ratios] == plain


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
