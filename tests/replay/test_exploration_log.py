"""Exploration from training to the next log: what a release draws at random is what its log can tell of others."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.contracts.metrics import Metric, MetricKind
from tasks.errors import ContractError
from tasks.release.view import load
from tasks.replay import slates as of_slice
from tasks.replay.entrants import baseline_order
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay
from tasks.stores.workspace import Workspace
from tests.feeds import small_feed, small_release
from tests.feeds.small_feed import CANDIDATES, NAME

KEY = ["request_id", "item_id"]
SLOTS = 4
EXPLORES = """
policy: small-feed-slate
version: 1
length: 4
exploration: {slots: 3, where: {column: visible, equals: true}, salt: small-feed}
"""


@dataclass(frozen=True)
class Served:
    """A release and what it served; ``would_click`` holds for each candidate."""

    workspace: Workspace
    version: int
    log: pd.DataFrame


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An exploring release, and candidates of the last weeks as it served them."""
    folder = tmp_path_factory.mktemp("explores")
    _, snapshot = small_feed.small_feed(folder)
    small_feed.write_contracts(folder / "surfaces", slate=EXPLORES)
    workspace = Workspace.open(NAME, surfaces=folder / "surfaces", home=folder / "home")
    release = small_release.released((workspace, snapshot))
    candidates, clicked = _newest(folder / "home/logs" / NAME)
    candidates.to_parquet(folder / "candidates.parquet")
    words = ["score", NAME, "--release", str(release.version), "--input", str(folder / "candidates.parquet")]
    where = ["--home", str(workspace.home), "--surfaces", str(workspace.surfaces)]
    assert main([*words, "--out", str(folder / "scored.parquet"), *where]) == 0
    decided = pd.read_parquet(folder / "scored.parquet")[[*KEY, "slate_position", "propensity"]]
    log = candidates.merge(decided, on=KEY, validate="one_to_one")
    log = log.rename(columns={"slate_position": "position"}).assign(
        shown=lambda rows: rows["position"].notna()
    )
    log["would_click"] = log["item_id"].isin(clicked).astype(float)
    return Served(workspace, release.version, log.assign(click=log["would_click"].where(log["shown"])))


@pytest.fixture
def served(service: Served) -> pd.DataFrame:
    """What the release served."""
    return service.log


def _newest(logs: Path) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Return the candidates of the newest weeks, and the items that were clicked."""
    candidates, events = (pq.read_table(logs / table).to_pandas() for table in ("impressions", "events"))
    newest = candidates["shown_at"] >= candidates["shown_at"].max() - pd.Timedelta(days=21)
    return candidates[newest].reset_index(drop=True), events.loc[events["event"] == "click", "item_id"]


def read(log: pd.DataFrame) -> Replay:
    """Read a log as a simulation does."""
    reading = LogReading({"click": ("click",)}, examination=np.ones(SLOTS), complete=True)
    read_back = candidate_log(log, reading)
    return Replay(read_back, PolicySlates("nothing is believed", np.zeros(len(log), dtype=np.int64)))


def test_the_release_writes_the_probability_of_each_item_at_its_slot(served: pd.DataFrame) -> None:
    shown = served[served["shown"]]
    assert (served.groupby("request_id")["shown"].sum() == SLOTS).all()
    chances = {1: 1.0, 2: 1 / 4, 3: 1 / 3, 4: 1 / 2}
    assert shown["propensity"].to_numpy() == pytest.approx(shown["position"].map(chances).to_numpy(float))
    assert served.loc[~served["shown"], "propensity"].isna().all()


def test_replay_weighs_each_shown_item_by_what_its_chance_was(served: pd.DataFrame) -> None:
    log = read(served).log
    by_hand = {1: 1.0, 2: 4 / 3 + 2 / 3, 3: 3 / 3 + 1 / 3, 4: 2 / 3}
    expected = served["position"].map(by_hand).fillna(0.0).to_numpy(dtype=float)
    assert log.inclusion is not None
    assert log.inclusion == pytest.approx(expected)


def test_the_log_tells_what_another_policy_would_have_earned(served: pd.DataFrame) -> None:
    replay, place = read(served), served.groupby("request_id")["price"].rank(ascending=False)
    dearest = PolicySlates("dearest", np.where(place <= 2, place, 0).astype(np.int64))
    cheapest = PolicySlates(
        "cheapest", np.where(place > CANDIDATES - 2, CANDIDATES + 1 - place, 0).astype(np.int64)
    )
    metric = Metric(MetricKind.RATE, "click")
    measured = replay.measure(metric, dearest, cheapest, ())[0]
    truth = [served.loc[slates.slot > 0, "would_click"].mean() for slates in (dearest, cheapest)]
    assert measured.reason == ""
    for estimate, true in zip((measured.policy, measured.baseline), truth, strict=True):
        assert estimate is not None
        assert estimate.low < true < estimate.high
    assert measured.relative is not None
    assert measured.relative.low > 0


def test_a_policy_that_explores_by_the_same_salt_is_told_as_it_is(service: Served) -> None:
    log, release = service.log, load(service.workspace, service.version)
    unlabelled = dict.fromkeys(service.workspace.contracts.tasks.tasks, np.nan)
    test = of_slice.TestSlice(service.workspace, log.assign(**unlabelled), complete=True)
    scored = test.slates_of(release, "served this log")
    replayed = [scored.slates, test.slates_by(scored.policy, scored, "the same policy by itself")]
    by_price = baseline_order(test, scored, "price")
    for slates in (*replayed, by_price):
        measured = read(log).measure(Metric(MetricKind.RATE, "click"), slates, slates, ())[0]
        truth = log.loc[slates.slot > 0, "would_click"].mean()
        assert measured.policy is not None
        assert measured.policy.low < truth < measured.policy.high
    drawn = log["position"] > 1
    again = (replayed[0].slot == log["position"])[drawn].mean()
    assert again == pytest.approx(1 / 4, abs=0.05)  # each place of a draw holds one of four items
    assert (replayed[0].slot == replayed[1].slot).all()


def test_a_policy_without_an_offset_is_ranked_under_no_decay(service: Served, tmp_path: Path) -> None:
    decays = "decay: {by: category, factor: 0.5}\n"
    positive = small_feed.UTILITY + "offset: {scale: 0.001}\n"
    small_feed.write_contracts(tmp_path, slate=EXPLORES + decays, utility=positive)
    scored = of_slice.TestSlice(service.workspace, service.log, complete=True).slates_of(
        load(service.workspace, service.version), "before the decay"
    )
    workspace = Workspace.open(NAME, surfaces=tmp_path, home=service.workspace.home)
    test = of_slice.TestSlice(workspace, service.log, complete=True)
    assert test.slates_by(workspace.contracts.utility, scored, "positive").slot.any()
    with pytest.raises(
        ContractError, match=r"before the decay has no offset, and its slate policy has a decay"
    ):
        test.slates_by(scored.policy, scored, "before the decay")


def test_without_the_propensities_the_same_log_does_not_say(served: pd.DataFrame) -> None:
    silent = served.assign(propensity=np.nan)
    assert read(silent).log.inclusion is None
