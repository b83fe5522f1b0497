"""A page of six candidates in two requests, small enough to compute by hand."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.evaluation.resampling import Resampler
from tasks.replay.log import CandidateLog, Slates, candidate_log
from tasks.replay.replay_policies import Replay

CURVE = np.array([1.0, 0.5, 0.25])


def page(
    *,
    labels: list[float | None] | None = None,
    positions: list[float | None] | None = None,
    complete: bool = True,
    examination: npt.NDArray[np.float64] | None = CURVE,
) -> CandidateLog:
    frame = pd.DataFrame(
        {
            "request_id": ["a", "a", "a", "b", "b", "b"],
            "user_id": ["u", "u", "u", "v", "v", "v"],
            "item_id": ["1", "2", "3", "1", "2", "4"],
            "position": positions or [1, 2, 3, 1, 2, 3],
            "click": labels or [1, 0, 0, 0, 1, 0],
        }
    )
    segments = {
        "source": pd.Categorical(["feed", "ads", "feed", "ads", "feed", "feed"]),
        "item_age": pd.Categorical.from_codes([0, 1, 1, 0, 1, 1], categories=["<1", ">=1"]),
    }
    return candidate_log(
        frame, tasks=("click",), segments=segments, examination=examination, complete=complete
    )


def slates(name: str, slot: list[int], predictions: Mapping[str, list[float]] | None = None) -> Slates:
    given = {task: np.array(p, dtype=float) for task, p in (predictions or {}).items()}
    return Slates(name, np.array(slot), given)


def replay(log: CandidateLog) -> Replay:
    return Replay(log, Resampler(log.user_count, seed=0, replicates=50), frozenset())
