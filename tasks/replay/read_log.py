"""How candidate rows become the log that a simulation replays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.replay.inclusion import inclusion_weights, sequential_weights
from tasks.replay.log import CandidateLog, Floats, Ints
from tasks.replay.outcomes import JointOutcome, joint_outcome


@dataclass(frozen=True)
class LogReading:
    """How a log is to be read.

    Attributes
    ----------
    links : task -> root, ..., task, of every task.
    answered : tasks whose outcome is known only after an event.
    segments : by segment name, the rows' values.
    examination : probability of being looked at by position, relative to the reference; None is undeclared.
    complete : whether every scored candidate is logged.
    propensity_kind : what the propensity column holds.
    """

    links: Mapping[str, Sequence[str]]
    answered: frozenset[str] = frozenset()
    segments: Mapping[str, pd.Categorical] = field(default_factory=dict)
    examination: Floats | None = None
    complete: bool = True
    propensity_kind: Literal["position", "inclusion"] = "position"


def candidate_log(frame: pd.DataFrame, reading: LogReading) -> CandidateLog:
    """Build a log from candidate rows with our column names, the observed labels and statuses of chains."""
    position = _numbers(frame, c.POSITION)
    shown = (
        frame[c.SHOWN].fillna(False).to_numpy(dtype=bool) if c.SHOWN in frame else np.ones(len(frame), bool)
    )
    users = (
        frame[c.USER_ID] if frame[c.USER_ID].notna().all() else frame[c.USER_ID].fillna(frame[c.REQUEST_ID])
    )
    days, dates = pd.factorize(frame[c.SHOWN_AT].dt.date, sort=True)
    log = CandidateLog(
        requests=pd.factorize(frame[c.REQUEST_ID])[0].astype(np.int64),
        users=pd.factorize(users)[0].astype(np.int64),
        items=pd.factorize(frame[c.ITEM_ID])[0].astype(np.int64),
        logged_position=position,
        shown=shown,
        labels={t: frame[t].to_numpy(dtype=float, na_value=np.nan) for t in reading.links},
        outcomes={},
        segments=reading.segments,
        days=days.astype(np.int64),
        dates=tuple(dates),
        examination=reading.examination,
        positions_logged=bool(np.isfinite(position).any()),
        complete=reading.complete,
        inclusion=None,
        latency=_numbers(frame, c.LATENCY_MS) if c.LATENCY_MS in frame else None,
        served_by=_versions(frame[c.RELEASE]) if c.RELEASE in frame else None,
    )
    outcomes = {task: _outcome(log, frame, reading, task) for task in reading.links}
    return replace(
        log,
        outcomes=outcomes,
        inclusion=_inclusion(log, frame, reading.propensity_kind),
        propensity=_propensity(log, frame) if reading.propensity_kind == "position" else None,
    )


def _outcome(log: CandidateLog, frame: pd.DataFrame, reading: LogReading, task: str) -> JointOutcome:
    status = frame.get(c.status(task))
    return joint_outcome(
        log.labels,
        reading.links[task],
        shown=log.shown,
        immature=None if status is None else (status == c.Status.IMMATURE).to_numpy(dtype=bool),
        answered_at=log.logged_looks if task in reading.answered else None,
    )


def _inclusion(
    log: CandidateLog, frame: pd.DataFrame, kind: Literal["position", "inclusion"]
) -> Floats | None:
    if not log.complete:
        return log.shown.astype(np.float64)
    propensity = _numbers(frame, c.PROPENSITY)
    if not np.isfinite(propensity[log.shown]).all() or not log.shown.any():
        return None
    if kind == "inclusion":
        return inclusion_weights(propensity, log.shown)
    if not np.isfinite(log.logged_position[log.shown]).all():
        return None
    positions = np.where(log.shown, log.logged_position, np.nan)
    return sequential_weights(log.requests, positions, propensity, log.logged_looks)


def _propensity(log: CandidateLog, frame: pd.DataFrame) -> Floats | None:
    propensity = np.where(log.shown, _numbers(frame, c.PROPENSITY), np.nan)
    return propensity if log.shown.any() and np.isfinite(propensity[log.shown]).all() else None


def _versions(column: "pd.Series[Any]") -> Ints:
    """Return releases as versions, 0 where what served is not a number."""
    return pd.to_numeric(column, errors="coerce").fillna(0).to_numpy(dtype=np.int64)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats; NaN where there is none."""
    values = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
