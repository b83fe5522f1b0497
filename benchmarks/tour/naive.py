"""The same eight weeks with a naive click ranker: learned each week from its own clicks, served to everybody.

It ranks by the probability of a click alone. The same filters and slate rules hold for it, so nothing
forbidden is shown; no gate, ramp or monitor stands between it and people.
"""

import tempfile
from pathlib import Path
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.operating_worlds.surface import SURFACE
from benchmarks.tour.calendar import Plan
from benchmarks.tour.figures import DayFigures, figures_of
from benchmarks.tour.surface import write_contracts
from benchmarks.tour.watch import SPAMMER
from tasks import columns as c
from tasks.contracts import Contracts, load_surface
from tasks.contracts.utility import UtilitySpec, Weight
from tasks.datasets.world.loop import LoopDay, Served, serve_decision
from tasks.ranking.decide import decide

CLICK: Final = "click_30m"
_LEARNS_FROM: Final = 21
"""Days of its own log."""


class NaiveFeed:
    """Plays the eight weeks of a feed that a click ranker serves.

    Parameters
    ----------
    contracts : whose features, filters, slate and LightGBM parameters are used; its utility measures.
    """

    def __init__(self, plan: Plan, contracts: Contracts) -> None:
        self.plan, self.contracts = plan, contracts
        self.loop = plan.open_loop()
        self.policy = clicks_alone(contracts.utility)
        self.slate = contracts.slate.model_copy(update={"exploration": None})
        self.rows: list[pd.DataFrame] = []

    def play(self) -> list[DayFigures]:
        """Play all weeks; return the figures of each day of the tour."""
        days = list[DayFigures]()
        while self.loop.day < self.plan.before:
            self._keep(self.loop.play())
        for day in range(self.plan.days):
            if day % 7 == 0:
                self._learn()
            played = self.loop.play(self._serve)
            self._keep(played)
            days.append(
                figures_of(played, self.offered, policy=self.contracts.utility, spammer=SPAMMER, day=day)
            )
        return days

    def _serve(self, candidates: pd.DataFrame) -> Served:
        self.offered = candidates
        predictions = {c.probability(CLICK): self._predict(candidates)}
        return serve_decision(decide(candidates, predictions, self.policy, self.slate), predictions)

    def _predict(self, candidates: pd.DataFrame) -> npt.NDArray[np.float64]:
        return np.asarray(self.booster.predict(self._features(candidates), num_threads=1))

    def _features(self, frame: pd.DataFrame) -> pd.DataFrame:
        features = self.contracts.surface.features
        coded = {name: frame[name].astype("category") for name in features.categorical}
        return frame[[*features.numeric]].astype(np.float64).assign(**coded)

    def _keep(self, played: LoopDay) -> None:
        shown = played.tables["impressions"].to_pandas()
        (clicks,) = (kind for kind in played.outcomes.events if kind.event == "click")
        clicked = np.zeros(len(shown))
        clicked[clicks.row] = 1.0
        self.rows = [*self.rows[1 - _LEARNS_FROM :], shown.assign(clicked=clicked)]

    def _learn(self) -> None:
        rows = pd.concat(self.rows, ignore_index=True)
        given = self.contracts.surface.lightgbm["default"]
        learn = lgb.Dataset(self._features(rows), rows["clicked"], free_raw_data=True)
        parameters = {
            "objective": "binary",
            "num_leaves": given.num_leaves,
            "learning_rate": given.learning_rate,
            "min_data_in_leaf": given.min_data_in_leaf,
            "num_threads": 1,
            "verbosity": -1,
            "seed": 0,
        }
        self.booster = lgb.train(parameters, learn, num_boost_round=given.rounds)


def clicks_alone(policy: UtilitySpec) -> UtilitySpec:
    """Return the policy that ranks by clicks, under the same hard constraints."""
    return policy.model_copy(
        update={
            "weights": {CLICK: Weight(weight=1.0)},
            "contexts": (),
            "relevance_floor": {},
            "guardrails": (),
        }
    )


def play_naive(plan: Plan) -> list[DayFigures]:
    """Play the weeks of a plan with the contracts of the tour."""
    with tempfile.TemporaryDirectory() as folder:
        contracts = load_surface(write_contracts(Path(folder)), SURFACE)
    return NaiveFeed(plan, contracts).play()
