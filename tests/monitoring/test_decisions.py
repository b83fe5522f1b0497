"""What terms contribute and constraints drop, by the toy release's own decisions."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from tasks.contracts.slate import Exposure
from tasks.labels.store import LabelStore
from tasks.monitoring.decisions import measure_decisions, read_decisions
from tasks.monitoring.exposure import EXPOSURE_RATIO
from tasks.monitoring.traffic import ServingReleases
from tasks.ranking.scoring import Scorer
from tasks.release.loading import LoadedRelease
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.feeds.small_feed import AS_OF, DAYS
from tests.feeds.toy_release import UTILITY, a_frame, toy_files


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
