"""What a replay needs of one block of whole requests: candidate rows read into narrow columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.replay.log import Floats, Ints


def users_of(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Return the user of each row, [n]; no name of a request that stands in is that of a user.

    Examples
    --------
    >>> users_of(pd.DataFrame({"request_id": [5, 6], "user_id": [None, 5]}, dtype=object)).tolist()
    ['request 5', 5]
    """
    users = frame[c.USER_ID]
    unknown = users.isna()
    if not unknown.any():
        return users
    return users.astype(object).where(~unknown, "request " + frame[c.REQUEST_ID].astype(str))


NUMBERS: Final = "numbers"
WORDS: Final = "words"
"""How the values of a segment are ordered; unknown ones come last."""


@dataclass(frozen=True)
class LogReading:
    """How a log is to be read.

    Attributes
    ----------
    links : task -> root, ..., task, of every task.
    answered : tasks whose outcome is known only after an event.
    segments : by segment name, the rows' values.
    kinds : by segment name, what its values are spelled from and ordered by: `NUMBERS` or `WORDS`.
    examination : probability of being looked at by position, relative to the reference; None is undeclared.
    complete : whether every scored candidate is logged.
    shown_is_all : whether every candidate was shown, so that each stands for itself.
    propensity_kind : what the propensity column holds.
    """

    links: Mapping[str, Sequence[str]]
    answered: frozenset[str] = frozenset()
    segments: Mapping[str, pd.Categorical] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    examination: Floats | None = None
    complete: bool = True
    shown_is_all: bool = False
    propensity_kind: Literal["position", "inclusion"] = "position"


@dataclass(frozen=True)
class Ids:
    """Ids of n rows: the code of each, -1 where it is null, and the id of each code as they first appear.

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
    """What a replay needs of one block of whole requests, in narrow columns of its n rows.

    Attributes
    ----------
    requests : [n] codes 0.. within the block.
    users, items : [n].
    days : [n] days since 1970-01-01.
    position : [n] where it was shown, NaN where it was not.
    shown : [n].
    segments : by name, the value of each row.
    kinds : by name, what kind of column a segment's values are read from.
    rows : [m] the rows that were shown or have a label; the others have no outcome.
    labels, immature, propensity : [m] of these.
    drawable, latency, served_by : [n], None where there are none.
    """

    requests: npt.NDArray[np.int32]
    users: Ids
    items: Ids
    days: npt.NDArray[np.int32]
    position: Floats
    shown: npt.NDArray[np.bool_]
    segments: Mapping[str, pd.Categorical]
    kinds: Mapping[str, str]
    rows: npt.NDArray[np.intp]
    labels: Mapping[str, Floats]
    immature: Mapping[str, npt.NDArray[np.bool_]]
    propensity: Floats
    drawable: npt.NDArray[np.bool_] | None
    latency: Floats | None
    served_by: Ints | None


def read_block(frame: pd.DataFrame, reading: LogReading) -> LogBlock:
    """Read candidate rows of whole requests with our column names, observed labels and statuses of chains."""
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
        position=_numbers(frame, c.POSITION).copy(),  # a view would keep the frame
        shown=shown.copy(),
        segments=reading.segments,
        kinds=reading.kinds,
        rows=rows,
        labels={task: label[rows] for task, label in labels.items()},
        immature={task: one[rows] for task, one in immature.items()},
        propensity=_numbers(frame, c.PROPENSITY)[rows],
        drawable=frame[c.DRAWABLE].fillna(True).to_numpy(dtype=bool) if c.DRAWABLE in frame else None,
        latency=_numbers(frame, c.LATENCY_MS).copy() if c.LATENCY_MS in frame else None,
        served_by=_versions(frame[c.RELEASE]) if c.RELEASE in frame else None,
    )


def _versions(column: "pd.Series[Any]") -> Ints:
    """Return releases as versions, 0 where what served is not a number."""
    return pd.to_numeric(column, errors="coerce").fillna(0).to_numpy(dtype=np.int64)


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats; NaN where there is none."""
    values = frame[name] if name in frame else pd.Series(np.nan, index=frame.index)
    return pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan)
