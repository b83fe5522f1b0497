"""Reads candidate rows into a log, block by block.

::

    candidate rows -> LogBlock, LogBlock ...  ->  codes over all blocks, columns that grow  ->  CandidateLog

A block contains whole requests in narrow columns. Values that depend on all shown rows, such as weights of
known outcomes, are computed from all blocks at the end.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices, Integers
from tasks.evaluation.resampling import users_of
from tasks.evaluation.segments import UNKNOWN
from tasks.replay.inclusion import JointOutcome, inclusion_weights, joint_outcome, sequential_weights
from tasks.replay.joined_columns import GrowingColumns, narrow, sparse_columns, sparse_outcomes, spread, store
from tasks.replay.log import CandidateLog

NUMBERS: Final = "numbers"
WORDS: Final = "words"
"""Sort order of the values of a segment; unknown values come last."""


@dataclass(frozen=True)
class LogReading:
    """Options for reading a log.

    Attributes
    ----------
    links : task -> root, ..., task, of every task.
    answered : tasks whose outcome is known only after an event.
    segments : by segment name, the rows' values.
    kinds : by segment name, the type that its values are formatted and ordered by: `NUMBERS` or `WORDS`.
    examination : probability of examination by position, relative to the reference; None if undeclared.
    complete : whether every scored candidate is logged.
    shown_is_all : whether every candidate was shown, so that each represents itself.
    propensity_kind : kind of probability in the propensity column.
    merit : the utility or the predicted task that exposure is compared with.
    """

    links: Mapping[str, Sequence[str]]
    answered: frozenset[str] = frozenset()
    segments: Mapping[str, pd.Categorical] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    examination: Floats | None = None
    complete: bool = True
    shown_is_all: bool = False
    propensity_kind: Literal["position", "inclusion"] = "position"
    merit: str = c.UTILITY


@dataclass(frozen=True)
class Ids:
    """Ids of n rows: the code of each row, -1 for null, and the id of each code in order of appearance.

    Examples
    --------
    >>> ids = Ids.of(pd.Series(["b", "a", "b"]))
    >>> ids.codes.tolist(), ids.known
    ([0, 1, 0], ['b', 'a'])
    """

    codes: npt.NDArray[np.int32]
    known: list[Any]

    @classmethod
    def of(cls, column: "pd.Series[Any]") -> "Ids":
        """Return the ids of a column."""
        codes, values = pd.factorize(column)
        return cls(codes.astype(np.int32), values.tolist())


@dataclass(frozen=True)
class LogBlock:
    """One block of whole requests, in narrow columns of its n rows.

    Attributes
    ----------
    requests : [n] codes 0.. within the block.
    users, items : [n].
    days : [n] days since 1970-01-01.
    position : [n] position where it was shown, NaN if it was not shown.
    shown : [n].
    segments : by name, the value of each row.
    kinds : by name, the type of the column of a segment.
    rows : [m] rows that were shown or have a label; other rows have no outcome.
    labels, immature, propensity : [m] for these rows.
    drawable, latency, served_by : [n], None if the log has no such column.
    """

    requests: npt.NDArray[np.int32]
    users: Ids
    items: Ids
    days: npt.NDArray[np.int32]
    position: Floats
    shown: Flags
    segments: Mapping[str, pd.Categorical]
    kinds: Mapping[str, str]
    rows: Indices
    labels: Mapping[str, Floats]
    immature: Mapping[str, Flags]
    propensity: Floats
    drawable: Flags | None
    latency: Floats | None
    served_by: Integers | None


def read_block(frame: pd.DataFrame, reading: LogReading) -> LogBlock:
    """Read rows of whole requests with standard column names, observed labels and chain statuses."""
    shown = (
        frame[c.SHOWN].fillna(False).to_numpy(dtype=bool) if c.SHOWN in frame else np.ones(len(frame), bool)
    )
    labels = {t: frame[t].to_numpy(dtype=float, na_value=np.nan) for t in reading.links}
    rows = np.flatnonzero(shown | np.logical_or.reduce([np.isfinite(one) for one in labels.values()]))
    statuses = {task: frame[c.status(task)] for task in reading.links if c.status(task) in frame}
    immature = {task: (one == c.Status.IMMATURE).to_numpy(dtype=bool) for task, one in statuses.items()}
    return LogBlock(
        requests=pd.factorize(frame[c.REQUEST_ID])[0].astype(np.int32),
        users=Ids.of(users_of(frame)),
        items=Ids.of(frame[c.ITEM_ID]),
        days=frame[c.SHOWN_AT].dt.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int32),
        position=_numbers(frame, c.POSITION),
        shown=shown,
        segments=reading.segments,
        kinds=reading.kinds,
        rows=rows,
        labels={task: label[rows] for task, label in labels.items()},
        immature={task: one[rows] for task, one in immature.items()},
        propensity=_numbers(frame, c.PROPENSITY)[rows],
        drawable=frame[c.DRAWABLE].fillna(True).to_numpy(dtype=bool) if c.DRAWABLE in frame else None,
        latency=_numbers(frame, c.LATENCY_MS) if c.LATENCY_MS in frame else None,
        served_by=_versions(frame[c.RELEASE]) if c.RELEASE in frame else None,
    )


def _versions(column: "pd.Series[Any]") -> Integers:
    """Return releases as versions, 0 if the value is not a number."""
    return pd.to_numeric(column, errors="coerce").fillna(0).to_numpy(dtype=np.int64)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats; NaN if the column does not exist."""
    values = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)


_SegmentPart = tuple[pd.Categorical, str | None]
"""The values of a segment in one block, and the type of its column."""


def candidate_log(frame: pd.DataFrame, reading: LogReading) -> CandidateLog:
    """Build a log from candidate rows; see `read_block`."""
    return join_blocks([read_block(frame, reading)], reading)


def join_blocks(blocks: Sequence[LogBlock], reading: LogReading) -> CandidateLog:
    """Build a log from one or more blocks."""
    builder = LogBuilder()
    for block in blocks:
        builder.add(block)
    return builder.build(reading)


class IdCodes:
    """Codes of ids from 0 in order of first appearance, over any number of blocks."""

    def __init__(self) -> None:
        """Create an encoder without ids."""
        self._known: dict[Any, int] = {}

    def encode(self, ids: Ids) -> npt.NDArray[np.int32]:
        """Return the code of each row's id, -1 for null."""
        known = [self._known.setdefault(value, len(self._known)) for value in ids.known]
        return np.array([*known, -1], dtype=np.int32)[ids.codes]

    @property
    def known(self) -> list[Any]:
        """The id of each code."""
        return list(self._known)


class LogBuilder:
    """Builds a log from blocks, added in the order of its rows."""

    def __init__(self) -> None:
        """Create a builder without rows."""
        self._users, self._items = IdCodes(), IdCodes()
        self._columns, self._seen = GrowingColumns(), GrowingColumns()
        self._labels, self._immature = GrowingColumns(), GrowingColumns()
        self._segments: dict[str, list[_SegmentPart]] = {}
        self._requests = 0
        self.size = 0

    def add(self, block: LogBlock) -> None:
        """Add a block of whole requests."""
        self._columns.append(
            {
                "requests": block.requests + np.int32(self._requests),
                "users": self._users.encode(block.users),
                "items": self._items.encode(block.items),
                "days": block.days,
                "position": block.position,
                "shown": block.shown,
                "drawable": block.drawable,
                "latency": block.latency,
                "served_by": block.served_by,
            }
        )
        self._seen.append({"rows": block.rows + self.size, "propensity": block.propensity})
        self._labels.append(block.labels)
        self._immature.append(block.immature)
        for name, values in block.segments.items():
            self._segments.setdefault(name, []).append((values, block.kinds.get(name)))
        self._requests += int(block.requests.max(initial=-1)) + 1
        self.size += len(block.shown)

    @property
    def rows(self) -> Indices:
        """The rows [m] that were shown or have a label; other rows have no outcome."""
        rows: Indices = self._seen["rows"]
        return rows

    @property
    def item_ids(self) -> list[Any]:
        """The id of each item code."""
        return self._items.known

    def build(self, reading: LogReading) -> CandidateLog:
        """Return the log; segments come from the blocks, not from ``reading``."""
        columns, labels, rows = self._columns, self._labels, self.rows
        dates = np.unique(columns["days"])
        log = CandidateLog(
            requests=columns["requests"],
            users=columns["users"],
            items=columns["items"],
            logged_position=columns["position"],
            shown=columns["shown"],
            labels=sparse_columns(self.size, rows, labels),
            outcomes={},
            segments={name: _join_segment(parts) for name, parts in self._segments.items()},
            days=store(np.searchsorted(dates, columns["days"]).astype(np.int32)),
            dates=tuple(dates.astype("datetime64[D]").tolist()),
            examination=reading.examination,
            positions_logged=bool(np.isfinite(columns["position"]).any()),
            complete=reading.complete,
            inclusion=None,
            drawable=self._columns.whole("drawable", self.size),
            latency=self._columns.whole("latency", self.size),
            served_by=self._columns.whole("served_by", self.size),
            merit=reading.merit,
        )
        seen = _Seen(log, rows, self._seen["propensity"], reading)
        outcomes = {
            task: seen.outcome(labels, self._immature.whole(task, len(rows)), task) for task in reading.links
        }
        return replace(
            log,
            labels=sparse_columns(self.size, rows, {task: narrow(one) for task, one in labels.items()}),
            outcomes=sparse_outcomes(self.size, rows, outcomes),
            inclusion=seen.inclusion(),
            propensity=seen.logged_propensity() if reading.propensity_kind == "position" else None,
        )


@dataclass(frozen=True)
class _Seen:
    """The rows [m] of a log that may have an outcome, and values derived from them for all n rows."""

    log: CandidateLog
    rows: Indices
    propensity: Floats
    reading: LogReading

    def outcome(self, labels: Mapping[str, Floats], immature: Flags | None, task: str) -> JointOutcome:
        """Return a task's joint outcome, [m]."""
        found = joint_outcome(
            labels,
            self.reading.links[task],
            shown=self.log.shown[self.rows],
            positions=self.log.logged_position[self.rows],
            immature=immature,
            answered_at=self._examined if task in self.reading.answered else None,
        )
        return replace(found, value=narrow(found.value), weight=narrow(found.weight))

    def inclusion(self) -> Floats | None:
        """Return how many candidates each shown item represents, [n]; None without logged propensities."""
        log, shown = self.log, self.log.shown[self.rows]
        if self.reading.shown_is_all or not log.complete:
            return store(log.shown.astype(np.float64))
        if not np.isfinite(self.propensity[shown]).all() or not shown.any():
            return None
        if self.reading.propensity_kind == "inclusion":
            return self._spread(inclusion_weights(self.propensity, shown))
        position = log.logged_position[self.rows]
        if not np.isfinite(position[shown]).all():
            return None
        where = np.where(shown, position, np.nan)
        weights = sequential_weights(log.requests[self.rows], where, self.propensity, self._examined)
        return self._spread(weights)

    def logged_propensity(self) -> Floats | None:
        """Return the propensity of each shown item, NaN elsewhere, [n]; None where one is unknown."""
        shown = self.log.shown[self.rows]
        if not shown.any() or not np.isfinite(self.propensity[shown]).all():
            return None
        return self._spread(np.where(shown, self.propensity, np.nan), np.nan)

    @property
    def _examined(self) -> Floats:
        return self.log.examined_at(self.log.logged_position[self.rows])

    def _spread(self, values: Floats, fill: float = 0.0) -> Floats:
        return store(spread(values, self.rows, len(self.log.shown), fill))


def _join_segment(parts: Sequence[_SegmentPart]) -> pd.Categorical:
    """Return a segment's values in all blocks, with common codes."""
    kinds = {kind for _, kind in parts}
    words = [list(values.categories) for values, _ in parts]
    known = words[0] if all(one == words[0] for one in words) else _order(words, kinds)
    place = {word: code for code, word in enumerate(known)}
    codes = [
        np.array([*(place[word] for word in of_block), -1], dtype=np.int32)[values.codes]
        for of_block, (values, _) in zip(words, parts, strict=True)
    ]
    return pd.Categorical.from_codes(np.concatenate(codes), categories=pd.Index(known))


def _order(words: Sequence[Sequence[str]], kinds: Collection[str | None]) -> list[str]:
    """Return the values of all blocks in the order that a single block would have."""
    known = {word for one in words for word in one}
    if NUMBERS in kinds:
        return sorted(known, key=lambda word: (word == UNKNOWN, math.inf if word == UNKNOWN else float(word)))
    appended = WORDS in kinds and all(UNKNOWN not in one[:-1] for one in words)
    return sorted(known, key=lambda word: (appended and word == UNKNOWN, word))
