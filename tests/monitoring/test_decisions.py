"""What terms contribute and constraints drop, by the toy release's own decisions."""

import numpy as np
import pytest

from tasks.labels.store import LabelStore
from tasks.monitoring.decisions import measure_decisions, read_decisions
from tasks.monitoring.traffic import ServingReleases
from tasks.ranking.scoring import Scorer
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
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
