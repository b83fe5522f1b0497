"""Policies that ignore what people ask for, and such that honour it: in a simulation, and by the truth."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.contracts.metrics import Metric, MetricKind
from tasks.contracts.slate import SlateSpec
from tasks.contracts.utility import UtilitySpec
from tasks.datasets.world.entities import EXAMINATION
from tasks.datasets.world.generate import Extras, generate
from tasks.evaluation.evidence import Measured
from tasks.evaluation.verdicts import Estimate
from tasks.ranking.decide import Decision, decide
from tasks.replay.log import PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay

KEY = ["request_id", "item_id"]
CURVE = np.asarray(EXAMINATION)
SLATE = SlateSpec.model_validate({"policy": "s", "version": 1, "length": 10})
WEIGHTS: dict[str, Any] = {
    "policy": "feed",
    "version": 1,
    "owner": "o",
    "approvals": ["product"],
    "weights": {"click_30m": 1.0, "purchase_7d": 10.0, "hide_7d": -5.0},
    "offset": {"scale": 0.1},
}
MUTE = {"hard_constraints": [{"name": "muted", "drop_when": {"column": "muted_by_user", "equals": True}}]}
ASKED = {
    "multipliers": [
        {"name": "less_of_this", "when": {"user_control": ["less"]}, "factor": 0.5},
        {"name": "more_of_this", "when": {"user_control": ["more"]}, "factor": 1.5},
    ]
}


@dataclass(frozen=True)
class Feed:
    """A week of candidates with controls; ``believed`` is what a model predicts that knows of none."""

    frame: pd.DataFrame
    believed: dict[str, npt.NDArray[np.float64]]

    def decide(self, **rules: Any) -> Decision:
        policy = UtilitySpec.model_validate({**WEIGHTS, **rules})
        return decide(self.frame, self.believed, policy, SLATE)

    def true_rate(self, task: str, decision: Decision) -> float:
        """What is truly likely per look in the slots."""
        slot = decision.slate_position
        examined = np.where(slot > 0, CURVE[np.maximum(slot, 1) - 1], 0.0)
        return float(np.average(self.frame[f"p_{task}"], weights=examined))

    @cached_property
    def ignoring(self) -> Decision:
        return self.decide()

    @cached_property
    def replay(self) -> Replay:
        reading = LogReading({"hide_7d": ("hide_7d",)}, examination=CURVE, complete=True)
        log = candidate_log(self.frame, reading)
        return Replay(log, self.slates("model", self.ignoring))

    def slates(self, name: str, decision: Decision) -> PolicySlates:
        belief = {"hide_7d": self.believed["p_hide_7d"]}
        return PolicySlates(name, decision.slate_position.astype(np.int64), belief)

    def simulated(self, decision: Decision) -> Measured:
        """Hides a look, as the log tells them, against those of the policy that ignores controls."""
        metric = Metric(MetricKind.RATE, "hide_7d")
        policies = self.slates("honours", decision), self.slates("ignores", self.ignoring)
        return self.replay.measure(metric, *policies, ())[0]


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    folder = tmp_path_factory.mktemp("controls")
    truth = {}
    for controls in (False, True):
        extras = Extras(candidate_truth=True, user_controls=controls)
        out = folder / str(controls)
        generate(days=7, requests_per_day=400, seed=2, out=out, extras=extras)
        truth[controls] = pq.read_table(out / "candidate_truth.parquet").to_pandas()
    frame = pq.read_table(out / "candidates").to_pandas().merge(truth[True], on=KEY, validate="one_to_one")
    events = pq.read_table(out / "events").to_pandas()
    hides = events.loc[events["event"] == "hide", KEY].assign(hide_7d=1.0)
    frame = frame.merge(hides, on=KEY, how="left", validate="one_to_one")
    frame["hide_7d"] = frame["hide_7d"].fillna(0.0).where(frame["shown"])
    assert frame[KEY].equals(truth[False][KEY])
    believed = {name: truth[False][name].to_numpy() for name in ("p_click_30m", "p_purchase_7d", "p_hide_7d")}
    return Feed(frame, believed)


def test_who_ignores_what_people_ask_for_pays_in_true_hides(feed: Feed) -> None:
    ignored, honoured = feed.ignoring, feed.decide(**MUTE, **ASKED)
    believed = float(np.mean(feed.believed["p_hide_7d"][ignored.slate_position > 0]))
    true = float(feed.frame.loc[ignored.slate_position > 0, "p_hide_7d"].mean())
    assert true > 1.05 * believed
    assert feed.true_rate("hide_7d", honoured) < 0.85 * feed.true_rate("hide_7d", ignored)
    assert feed.true_rate("click_30m", honoured) > feed.true_rate("click_30m", ignored)


@pytest.mark.parametrize("rules", [MUTE, ASKED], ids=["mute by a constraint", "less and more by multipliers"])
def test_each_way_to_honour_them_lowers_true_hides(feed: Feed, rules: dict[str, Any]) -> None:
    assert feed.true_rate("hide_7d", feed.decide(**rules)) < feed.true_rate("hide_7d", feed.ignoring)


def test_a_mute_is_never_outbid_and_multipliers_move_the_mix(feed: Feed) -> None:
    slots = feed.decide(**MUTE, **ASKED).slate_position > 0
    before = feed.ignoring.slate_position > 0
    muted, asked = feed.frame["muted_by_user"].to_numpy(), feed.frame["user_control"]
    assert (muted & before).any()
    assert not (muted & slots).any()
    assert (asked[slots] == "less").sum() < 0.5 * (asked[before] == "less").sum()
    assert (asked[slots] == "more").sum() > 1.2 * (asked[before] == "more").sum()


def test_the_simulation_sees_what_is_true(feed: Feed) -> None:
    honoured = feed.decide(**MUTE, **ASKED)
    simulated = feed.simulated(honoured).relative
    assert isinstance(simulated, Estimate)
    true = feed.true_rate("hide_7d", honoured) / feed.true_rate("hide_7d", feed.ignoring) - 1
    assert simulated.high < 0
    assert simulated.low < true < simulated.high
