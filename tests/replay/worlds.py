"""A page of six candidates in two requests, small enough to compute by hand, and feeds of known truth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.contracts.metrics import Metric, parse_metric
from tasks.contracts.utility import UtilitySpec
from tasks.datasets.world.feed import place
from tasks.evaluation.evidence import Measured
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.read_log import LogReading, candidate_log
from tasks.replay.replay_policies import Replay
from tests.ranking.policies import utility_json

Floats = npt.NDArray[np.float64]

LOGGED = [1, 2, 3, 1, 2, 3]
SWAPPED = [2, 1, 3, 2, 1, 3]
CURVE = np.array([1.0, 0.5, 0.25])
AT_RANDOM = [1 / 3, 1 / 2, 1.0] * 2
"""Propensities of a logger that fills three places with three candidates by lot."""
NO_POLICY = UtilitySpec.model_validate(utility_json())


def page(
    *,
    labels: list[float | None] | None = None,
    positions: list[float | None] | None = None,
    propensity: list[float] | None = None,
    complete: bool = True,
    shown_is_all: bool = False,
    examination: Floats | None = CURVE,
) -> CandidateLog:
    frame = pd.DataFrame(
        {
            "request_id": ["a", "a", "a", "b", "b", "b"],
            "user_id": ["u", "u", "u", "v", "v", "v"],
            "item_id": ["1", "2", "3", "1", "2", "4"],
            "shown_at": pd.Timestamp("2026-03-01T09:00:00Z"),
            "position": positions or [1, 2, 3, 1, 2, 3],
            "click": labels or [1, 0, 0, 0, 1, 0],
        }
    )
    if propensity:
        frame["propensity"] = propensity
    segments: dict[str, pd.Categorical[Any]] = {
        "source": pd.Categorical(["feed", "ads", "feed", "ads", "feed", "feed"]),
        "item_age": pd.Categorical.from_codes([0, 1, 1, 0, 1, 1], categories=pd.Index(["<1", ">=1"])),
    }
    links = {"click": ("click",)}
    reading = LogReading(
        links, segments=segments, examination=examination, complete=complete, shown_is_all=shown_is_all
    )
    return candidate_log(frame, reading)


def copied(log: CandidateLog, times: int) -> CandidateLog:
    """Return a log's rows so often, each time of other requests and users."""

    def tiled(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        step = codes.max() + 1
        return np.concatenate([codes + step * copy for copy in range(times)])

    rows = np.tile(np.arange(len(log.requests)), times)
    return replace(cut(log, rows), requests=tiled(log.requests), users=tiled(log.users))


def with_segment(log: CandidateLog, name: str, values: npt.NDArray[Any]) -> CandidateLog:
    """Return a log with one more segment."""
    return replace(log, segments={**log.segments, name: pd.Categorical(values)})


def cut(log: CandidateLog, rows: npt.NDArray[Any]) -> CandidateLog:
    """Return some rows of a log, by their numbers or marked."""
    return replace(
        log,
        requests=log.requests[rows],
        users=log.users[rows],
        items=log.items[rows],
        days=log.days[rows],
        logged_position=log.logged_position[rows],
        shown=log.shown[rows],
        labels={task: label[rows] for task, label in log.labels.items()},
        outcomes={
            task: replace(one, value=one.value[rows], weight=one.weight[rows])
            for task, one in log.outcomes.items()
        },
        segments={
            name: pd.Categorical.from_codes(one.codes[rows], categories=one.categories)
            for name, one in log.segments.items()
        },
        inclusion=None if log.inclusion is None else log.inclusion[rows],
    )


def cut_slates(of: PolicySlates, rows: npt.NDArray[np.bool_]) -> PolicySlates:
    """Return a policy's slots in some rows."""
    return replace(
        of,
        slot=of.slot[rows],
        predictions={task: each[rows] for task, each in of.predictions.items()},
        where_shown={task: each[rows] for task, each in of.where_shown.items()},
    )


def slates(name: str, slot: list[int], predictions: Mapping[str, list[float]] | None = None) -> PolicySlates:
    given = {task: np.array(p, dtype=float) for task, p in (predictions or {}).items()}
    return PolicySlates(name, np.array(slot), given)


def metric(name: str) -> Metric:
    """Parse the name of a metric of the page."""
    parsed = parse_metric(name, tasks=["click"], columns=["source"])
    assert parsed is not None
    return parsed


def whole(name: str, log: CandidateLog, policy: PolicySlates, baseline: PolicySlates) -> Measured:
    """Measure a metric over all rows, as the first of its judges sees it."""
    return Replay(log, policy).measure(metric(name), policy, baseline, ())[0]


def value(
    name: str, slot: list[int], *, log: CandidateLog | None = None, **predictions: list[float]
) -> float:
    """Return a metric of the policy that fills these slots, judged by its own predictions."""
    policy = slates("policy", slot, predictions)
    measured = whole(name, log or page(), policy, policy)
    assert measured.policy is not None
    return measured.policy.value


LOOKS = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
"""Examination of the six places of a feed."""


@dataclass(frozen=True)
class Feed:
    """A log of 1,400 requests over seven days, and the true chance of a click of every candidate.

    ``chance`` and ``signal`` have shape [requests, candidates]; the chance is of an item that is looked at.
    """

    log: CandidateLog
    chance: Floats
    signal: Floats
    rng: np.random.Generator

    def ranked(self, name: str, scores: Floats, *, predicts: bool = False) -> PolicySlates:
        """Return the slates of an order by ``scores``, which may be the policy's predictions too."""
        rank = (-scores).argsort(axis=1).argsort(axis=1) + 1
        slot = np.where(rank <= len(LOOKS), rank, 0).ravel()
        said = {"click": scores.ravel()} if predicts else {}
        return PolicySlates(name, slot, said, said)

    def logged(self) -> PolicySlates:
        """Return the order that was shown."""
        position = np.nan_to_num(self.log.logged_position)
        return PolicySlates("logged order", position.astype(np.int64), follows_log=True)

    def truth(self, slates: PolicySlates) -> float:
        """Return what a look of a policy's slots truly leads to."""
        examined = np.where(slates.slot > 0, LOOKS[np.clip(slates.slot, 1, len(LOOKS)) - 1], 0.0)
        return float((examined * self.chance.ravel()).sum() / examined.sum())


def feed(seed: int, *, requests: int = 1400, base: float = -2.2, propensities: bool = True) -> Feed:
    """Draw a feed whose logger prefers what is liked, with its propensities."""
    rng = np.random.default_rng(seed)
    shape = (requests, 15)
    items = rng.permuted(np.tile(np.arange(300), (requests, 1)), axis=1)[:, : shape[1]]
    signal = 0.6 * rng.normal(size=300)[items] + 0.8 * rng.normal(size=shape)
    chance = 1 / (1 + np.exp(-(base + signal)))
    placed = place(0.7 * signal + 0.7 * rng.normal(size=shape), len(LOOKS), rng)
    position, propensity = np.full(shape, np.nan), np.full(shape, np.nan)
    np.put_along_axis(position, placed.order, np.arange(1.0, len(LOOKS) + 1)[None, :], axis=1)
    np.put_along_axis(propensity, placed.order, placed.propensity, axis=1)
    shown = np.isfinite(position)
    examined = LOOKS[np.nan_to_num(position, nan=1.0).astype(int) - 1]
    clicked = np.where(shown, rng.random(shape) < chance * examined, np.nan)
    day = np.repeat(np.arange(requests) * 7 // requests, shape[1])
    frame = pd.DataFrame(
        {
            "request_id": np.repeat(np.arange(requests), shape[1]),
            "user_id": np.repeat(rng.integers(0, requests // 2, requests), shape[1]),
            "item_id": items.ravel(),
            "shown_at": pd.Timestamp("2026-03-01T09:00:00Z") + pd.to_timedelta(day, unit="D"),
            "position": position.ravel(),
            "propensity": propensity.ravel() if propensities else np.nan,
            "shown": shown.ravel(),
            "click": clicked.ravel(),
        }
    )
    log = candidate_log(frame, LogReading({"click": ("click",)}, examination=LOOKS))
    return Feed(log, chance, signal, rng)
