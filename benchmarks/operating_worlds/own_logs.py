"""Eight weeks of retrain and promotion on the loop's own logs, from the candidates of a world's test slice.

::

    weeks 1, 2    the world's champion serves   -> heads A learn from its log, and are the champion
    weeks 3 to 6  A serves                      -> heads B learn from that log, and are the challenger
    weeks 7, 8    A serves; the last log judges B, better heads and harmful releases

Each log has the requests and candidates of the test slice, so a slice of 7 days is served once a week and one
of 14 days once a fortnight. The release that serves fills all slots but the last by its utility, and draws
that one among the best `AMONG` that are left. Outcomes are drawn anew for each log from the world's truth at
the position of an item.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.operating_worlds.scored_slice import Floats, Predictions, ScoredSlice
from benchmarks.operating_worlds.truth import looks
from tasks import columns as c
from tasks.contracts.slate import Exploration, SlateSpec
from tasks.ranking.decide import decide
from tasks.ranking.features import FeatureEncoder

AMONG: Final = 20
"""Half of the candidates of a request."""
_COSTS: Final = ("hide_7d", "report_7d")
_FOLDS: Final = 10
"""One fold of the users says when to stop."""
_FORTNIGHT: Final = 14
REPLAY: Final = "replay"
"""The salt of the releases that are replayed; each log is served under one of its own."""


def served_for_weeks(data: ScoredSlice, seed: int) -> ScoredSlice:
    """Return the newest log, with the heads of its champion and of the challenger."""
    shown_at = data.candidates[c.SHOWN_AT]
    per_fortnight = max(1, _FORTNIGHT // ((shown_at.max() - shown_at.min()).days + 1))
    rng, salts = np.random.default_rng(seed), map(str, count(1))

    def serve(predictions: Predictions, logs: int) -> Iterator[ScoredSlice]:
        for _ in range(logs):
            yield _served(data, predictions, next(salts), rng)

    champion = _learned(serve(data.champion, per_fortnight))
    challenger = _learned(serve(champion, 2 * per_fortnight))
    (newest,) = serve(champion, 1)
    return replace(newest, champion=champion, challenger=challenger, serving=explores(data, REPLAY))


def explores(data: ScoredSlice, salt: str) -> SlateSpec:
    """Return the slate policy of a slice with one explored slot."""
    return data.slate.model_copy(update={"exploration": Exploration(slots=1, salt=salt, among=AMONG)})


def _served(data: ScoredSlice, predictions: Predictions, salt: str, rng: np.random.Generator) -> ScoredSlice:
    """Return the log of a release that serves the candidates with one explored slot."""
    slate = explores(data, salt)
    decided = decide(data.candidates, predictions, data.utility, slate, sets=data.sets)
    shown = decided.slate_position > 0
    written = {
        c.SHOWN: shown,
        c.POSITION: pd.array(np.where(shown, decided.slate_position, np.nan), dtype="Float64").astype(
            "Int64"
        ),
        c.PROPENSITY: decided.propensity,
        c.DRAWABLE: decided.drawable,
    }
    labels = {
        task: pd.array(np.where(shown, each, np.nan), dtype="Float64").astype("Int64")
        for task, each in _outcomes(data, looks(decided.slate_position), rng).items()
    }
    return replace(data, candidates=data.candidates.assign(**written, **labels))


def _outcomes(data: ScoredSlice, looked: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """Draw the outcomes of every candidate that stood at a place; those of costs apart from the others."""
    look = rng.random(len(looked)) < looked
    chance, of_cost = rng.random((2, len(looked)))
    return {
        task: (look & ((of_cost if task in _COSTS else chance) < data.truth[c.probability(task)])).astype(
            float
        )
        for task in data.tasks
    }


def _learned(served: Iterator[ScoredSlice]) -> dict[str, Floats]:
    """Return the predictions of heads that learned from logs by the surface's recipe."""
    logs = [*served]
    surface = logs[0].contracts.surface
    shown = pd.concat([log.candidates[log.shown] for log in logs], ignore_index=True)
    encoder = FeatureEncoder.fit(shown, surface.features.numeric, surface.features.categorical)
    seen, everything = encoder.matrix(shown), encoder.matrix(logs[0].candidates)
    held_out = pd.util.hash_array(shown[c.USER_ID].to_numpy(dtype=object)) % _FOLDS == 0
    return {
        c.probability(task): np.asarray(
            _grow(
                dict(surface.lightgbm_for(task)),
                lgb.Dataset(seen[~held_out], label[~held_out]),
                lgb.Dataset(seen[held_out], label[held_out]),
            ).predict(everything)
        )
        for task in logs[0].tasks
        for label in [shown[task].to_numpy(dtype=np.float64)]
    }


def _grow(parameters: dict[str, Any], train: lgb.Dataset, held_out: lgb.Dataset) -> lgb.Booster:
    """Grow a head's trees until the users that are held out gain nothing more."""
    rounds, patience = parameters.pop("rounds"), parameters.pop("early_stopping_rounds")
    return lgb.train(
        {**parameters, "objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 1},
        train,
        rounds,
        valid_sets=[held_out],
        callbacks=[lgb.early_stopping(patience, verbose=False)],
    )
