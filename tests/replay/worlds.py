"""A page of six candidates in two requests, small enough to compute by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.contracts.metrics import Metric, parse_metric
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.resampling import Resampler
from tasks.replay.log import CandidateLog, Slates, candidate_log
from tasks.replay.replay_policies import Replay

LOGGED = [1, 2, 3, 1, 2, 3]
SWAPPED = [2, 1, 3, 2, 1, 3]
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
    segments: dict[str, pd.Categorical[Any]] = {
        "source": pd.Categorical(["feed", "ads", "feed", "ads", "feed", "feed"]),
        "item_age": pd.Categorical.from_codes([0, 1, 1, 0, 1, 1], categories=pd.Index(["<1", ">=1"])),
    }
    return candidate_log(
        frame, tasks=("click",), segments=segments, examination=examination, complete=complete
    )


def slates(name: str, slot: list[int], predictions: Mapping[str, list[float]] | None = None) -> Slates:
    given = {task: np.array(p, dtype=float) for task, p in (predictions or {}).items()}
    return Slates(name, np.array(slot), given)


def replay(log: CandidateLog) -> Replay:
    return Replay(log, Resampler(log.user_count, seed=0, replicates=50), frozenset())


def metric(name: str) -> Metric:
    """Parse the name of a metric of the page."""
    parsed = parse_metric(name, tasks=["click"], columns=["source"])
    assert parsed is not None
    return parsed


def whole(name: str, log: CandidateLog, policy: Slates, baseline: Slates) -> Measured:
    """Measure a metric over all rows, as the first of its judges sees it."""
    return replay(log).measure(metric(name), policy, baseline, ())[0]


def value(
    name: str, slot: list[int], *, log: CandidateLog | None = None, **predictions: list[float]
) -> float:
    """Return a metric of the policy that fills these slots, judged by its own predictions."""
    policy = slates("policy", slot, predictions)
    measured = whole(name, log or page(), policy, policy)
    assert measured.policy is not None
    return measured.policy.value
