"""How candidate rows become the log that a simulation replays."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.evaluation.segments import UNKNOWN
from tasks.replay.inclusion import inclusion_weights, sequential_weights
from tasks.replay.log import CandidateLog, Floats, Ints
from tasks.replay.outcomes import JointOutcome, joint_outcome
from tasks.replay.sparse import SparseColumns, SparseOutcomes

NUMBERS: Final = "numbers"
WORDS: Final = "words"
"""How the values of a declared segment are ordered."""


@dataclass(frozen=True)
class LogReading:
    """How a log is to be read.

    Attributes
    ----------
    links : task -> root, ..., task, of every task.
    answered : tasks whose outcome is known only after an event.
    segments : by segment name, the rows' values.
    kinds : by segment name, the kind of column (numpy's letter) that values are spelled from as they stand;
        `NUMBERS` and `WORDS` of a declared segment, whose unknown values come last.
    examination : probability of being looked at by position, relative to the reference; None is undeclared.
    complete : whether every scored candidate is logged.
    propensity_kind : what the propensity column holds.
    """

    links: Mapping[str, Sequence[str]]
    answered: frozenset[str] = frozenset()
    segments: Mapping[str, pd.Categorical] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    examination: Floats | None = None
    complete: bool = True
    propensity_kind: Literal["position", "inclusion"] = "position"


class IdCodes:
    """Codes from 0 of ids in the order in which they first appear, over any number of blocks."""

    def __init__(self) -> None:
        """Know no id yet."""
        self._known: dict[Any, int] = {}

    def encode(self, ids: "pd.Series[Any]") -> Ints:
        """Return the code of each id, -1 where it is null."""
        codes, values = pd.factorize(ids)
        known = [self._known.setdefault(value, len(self._known)) for value in values]
        return np.array([*known, -1], dtype=np.int64)[codes]


@dataclass(frozen=True)
class LogBlock:
    """What a replay needs of one block of whole requests, in narrow columns of its n rows.

    Attributes
    ----------
    requests : [n] codes 0.. within the block.
    users, items : [n] codes 0.. over all blocks.
    days : [n] day.
    position : [n] where it was shown, NaN where it was not.
    shown : [n].
    segments : by name, the value of each row.
    kinds : by name, what kind of column a segment's values are read from.
    rows : [m] the rows that were shown or have a label; the others have no outcome.
    labels, immature, propensity : [m] of these.
    latency, served_by : [n], None where there are none.
    """

    requests: Ints
    users: Ints
    items: Ints
    days: npt.NDArray[np.datetime64]
    position: Floats
    shown: npt.NDArray[np.bool_]
    segments: Mapping[str, pd.Categorical]
    kinds: Mapping[str, str]
    rows: npt.NDArray[np.intp]
    labels: Mapping[str, Floats]
    immature: Mapping[str, npt.NDArray[np.bool_]]
    propensity: Floats
    latency: Floats | None
    served_by: Ints | None


def read_block(frame: pd.DataFrame, reading: LogReading, *, users: IdCodes, items: IdCodes) -> LogBlock:
    """Read candidate rows of whole requests with our column names, observed labels and statuses of chains."""
    shown = (
        frame[c.SHOWN].fillna(False).to_numpy(dtype=bool) if c.SHOWN in frame else np.ones(len(frame), bool)
    )
    who = frame[c.USER_ID]
    labels = {t: frame[t].to_numpy(dtype=float, na_value=np.nan) for t in reading.links}
    rows = np.flatnonzero(shown | np.logical_or.reduce([np.isfinite(one) for one in labels.values()]))
    statuses = {task: frame[c.status(task)] for task in reading.links if c.status(task) in frame}
    immature = {task: (one == c.Status.IMMATURE).to_numpy(dtype=bool) for task, one in statuses.items()}
    return LogBlock(
        requests=pd.factorize(frame[c.REQUEST_ID])[0].astype(np.int64),
        users=users.encode(who if who.notna().all() else who.fillna(frame[c.REQUEST_ID])),
        items=items.encode(frame[c.ITEM_ID]),
        days=frame[c.SHOWN_AT].dt.tz_localize(None).to_numpy().astype("datetime64[D]"),
        position=_numbers(frame, c.POSITION).copy(),  # a view would keep the frame
        shown=shown.copy(),
        segments=reading.segments,
        kinds=reading.kinds,
        rows=rows,
        labels={task: label[rows] for task, label in labels.items()},
        immature={task: one[rows] for task, one in immature.items()},
        propensity=_numbers(frame, c.PROPENSITY)[rows],
        latency=_numbers(frame, c.LATENCY_MS).copy() if c.LATENCY_MS in frame else None,
        served_by=_versions(frame[c.RELEASE]) if c.RELEASE in frame else None,
    )


def candidate_log(frame: pd.DataFrame, reading: LogReading) -> CandidateLog:
    """Build a log from candidate rows; see `read_block`."""
    return join_blocks([read_block(frame, reading, users=IdCodes(), items=IdCodes())], reading)


def join_blocks(blocks: Sequence[LogBlock], reading: LogReading) -> CandidateLog:
    """Build a log from one or more blocks; what follows from all shown rows is made of all of them."""
    starts = np.cumsum([0, *(len(block.shown) for block in blocks)])
    counts = np.cumsum([0, *(int(block.requests.max(initial=-1)) + 1 for block in blocks)])
    rows = np.concatenate([block.rows + start for block, start in zip(blocks, starts[:-1], strict=True)])
    dates, days = np.unique(np.concatenate([block.days for block in blocks]), return_inverse=True)
    position = np.concatenate([block.position for block in blocks])
    labels = {task: np.concatenate([block.labels[task] for block in blocks]) for task in reading.links}
    log = CandidateLog(
        requests=np.concatenate([b.requests + n for b, n in zip(blocks, counts[:-1], strict=True)]),
        users=np.concatenate([block.users for block in blocks]),
        items=np.concatenate([block.items for block in blocks]),
        logged_position=position,
        shown=np.concatenate([block.shown for block in blocks]),
        labels=SparseColumns(int(starts[-1]), rows, labels),
        outcomes={},
        segments={name: _join_segment(blocks, name) for name in blocks[0].segments},
        days=days.astype(np.int64),
        dates=tuple(dates.tolist()),
        examination=reading.examination,
        positions_logged=bool(np.isfinite(position).any()),
        complete=reading.complete,
        inclusion=None,
        latency=_join([block.latency for block in blocks]),
        served_by=_join([block.served_by for block in blocks]),
    )
    seen = _Seen(log, rows, np.concatenate([block.propensity for block in blocks]), reading)
    outcomes = {task: seen.outcome(labels, _immature(blocks, task), task) for task in reading.links}
    return replace(
        log,
        outcomes=SparseOutcomes(int(starts[-1]), rows, outcomes),
        inclusion=seen.inclusion(),
        propensity=seen.logged_propensity() if reading.propensity_kind == "position" else None,
    )


@dataclass(frozen=True)
class _Seen:
    """The rows [m] of a log that may have an outcome, and what is made of them for all n."""

    log: CandidateLog
    rows: npt.NDArray[np.intp]
    propensity: Floats
    reading: LogReading

    def outcome(
        self, labels: Mapping[str, Floats], immature: npt.NDArray[np.bool_] | None, task: str
    ) -> JointOutcome:
        """Return a task's joint outcome, [m]."""
        return joint_outcome(
            labels,
            self.reading.links[task],
            shown=self.log.shown[self.rows],
            immature=immature,
            answered_at=self._looks if task in self.reading.answered else None,
        )

    def inclusion(self) -> Floats | None:
        """Return how many candidates each shown item stands for, [n]; None where the log does not tell."""
        log, shown = self.log, self.log.shown[self.rows]
        if not log.complete:
            return log.shown.astype(np.float64)
        if not np.isfinite(self.propensity[shown]).all() or not shown.any():
            return None
        if self.reading.propensity_kind == "inclusion":
            return self._spread(inclusion_weights(self.propensity, shown))
        position = log.logged_position[self.rows]
        if not np.isfinite(position[shown]).all():
            return None
        where = np.where(shown, position, np.nan)
        return self._spread(sequential_weights(log.requests[self.rows], where, self.propensity, self._looks))

    def logged_propensity(self) -> Floats | None:
        """Return the propensity of each shown item, NaN elsewhere, [n]; None where one is unknown."""
        shown = self.log.shown[self.rows]
        if not shown.any() or not np.isfinite(self.propensity[shown]).all():
            return None
        dense = np.full(len(self.log.shown), np.nan)
        dense[self.rows[shown]] = self.propensity[shown]
        return dense

    @property
    def _looks(self) -> Floats:
        return self.log.examined_at(self.log.logged_position[self.rows])

    def _spread(self, values: Floats) -> Floats:
        dense = np.zeros(len(self.log.shown))
        dense[self.rows] = values
        return dense


def _immature(blocks: Sequence[LogBlock], task: str) -> npt.NDArray[np.bool_] | None:
    return _join([block.immature.get(task) for block in blocks])


def _join(parts: Sequence[npt.NDArray[Any] | None]) -> Any:
    """Return all parts as one; None where one of them is."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def _join_segment(blocks: Sequence[LogBlock], name: str) -> pd.Categorical:
    """Return a segment's values in all blocks, coded alike.

    A column of whole numbers is read as floats in a block that lacks one of them: 3 and 3.0 are one value.
    """
    kinds = {block.kinds.get(name) for block in blocks}
    words = [
        [_as_float(word) for word in block.segments[name].categories]
        if kinds >= {"i", "f"} and block.kinds.get(name) == "i"
        else list(block.segments[name].categories)
        for block in blocks
    ]
    known = words[0] if all(one == words[0] for one in words) else _order(words, kinds)
    place = {word: code for code, word in enumerate(known)}
    codes = [
        np.array([*(place[word] for word in of_block), -1], dtype=np.int32)[block.segments[name].codes]
        for of_block, block in zip(words, blocks, strict=True)
    ]
    return pd.Categorical.from_codes(np.concatenate(codes), categories=pd.Index(known))


def _order(words: Sequence[Sequence[str]], kinds: Collection[str | None]) -> list[str]:
    """Return the values of all blocks in the order that they would have in one."""
    known = {word for one in words for word in one}
    if NUMBERS in kinds:
        return sorted(known, key=lambda word: (word == UNKNOWN, math.inf if word == UNKNOWN else float(word)))
    appended = WORDS in kinds and all(UNKNOWN not in one[:-1] for one in words)
    return sorted(known, key=lambda word: (appended and word == UNKNOWN, word))


def _as_float(word: str) -> str:
    return word if word == UNKNOWN else str(float(word))


def _versions(column: "pd.Series[Any]") -> Ints:
    """Return releases as versions, 0 where what served is not a number."""
    return pd.to_numeric(column, errors="coerce").fillna(0).to_numpy(dtype=np.int64)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats; NaN where there is none."""
    values = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
