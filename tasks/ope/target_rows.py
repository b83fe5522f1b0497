"""The target policy, checked: one row per item that it may show at a position.

=========== =================================================================================
item_id, position     as in the log
request_id  optional: if the probabilities depend on the request
probability 0 to 1, of this item at this position, given the logged items above it; they add up to 1
q           optional: the expected reward of this item here, by a model not trained on these rows
=========== =================================================================================

An item without a row has probability 0.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Floats, Indices, Integers
from tasks.errors import DataError
from tasks.ope.log_rows import (
    LogRows,
    read_numbers,
    read_positions,
    refuse_repeats,
    refuse_rows,
    require_columns,
    require_keys,
)

TABLE: Final = "target"
PROBABILITY: Final = "probability"
PREDICTED: Final = "q"
REQUIRED: Final = (c.ITEM_ID, c.POSITION, PROBABILITY)
OPTIONAL: Final = (c.REQUEST_ID, PREDICTED)
TOLERANCE: Final = 1e-6
"""Tolerance of the sum of probabilities at a position, for rounding errors."""


@dataclass(frozen=True)
class TargetRows:
    """Items that the target may show, [m] each, matched with the log's rows [n].

    A *place* is a position, or a position of a request if the target depends on the request.

    Attributes
    ----------
    items, positions : [m] as in the target table.
    places : [m] codes from 0.
    pairs : [m] codes of item and position, shared with ``logged_pairs``.
    probability : [m].
    predicted : [m] expected rewards; None if the target has none.
    logged_places, logged_pairs : [n] codes of the log's rows.
    logged_rows : [n] each row's index among the m; -1 if the target does not show the item.
    """

    items: npt.NDArray[np.object_]
    positions: Integers
    places: Indices
    pairs: Indices
    probability: Floats
    predicted: Floats | None
    logged_places: Indices
    logged_pairs: Indices
    logged_rows: Indices

    @property
    def pair_count(self) -> int:
        """Number of pairs of item and position in both tables."""
        return int(max(self.pairs.max(), self.logged_pairs.max())) + 1

    def of_logged(self, values: Floats) -> Floats:
        """Return [n] values of the logged items from values [m], 0 if the target does not show the item."""
        return np.where(self.logged_rows >= 0, values[self.logged_rows], 0.0)

    def expect(self, values: Floats) -> Floats:
        """Return [n] the mean of values [m] over the target's items at each logged row's place."""
        return np.bincount(self.places, self.probability * values)[self.logged_places].astype(np.float64)


def read_target(frame: pd.DataFrame, log: LogRows) -> TargetRows:
    """Check a target policy together with the log."""
    keys = [*([c.REQUEST_ID] if c.REQUEST_ID in frame else []), c.POSITION]
    require_columns(frame, REQUIRED, table=TABLE)
    require_keys(frame, [name for name in (c.REQUEST_ID, c.ITEM_ID) if name in frame], table=TABLE)
    positions = read_positions(frame, c.POSITION, table=TABLE)
    probability = read_numbers(frame, PROBABILITY, table=TABLE)
    outside = (probability < 0) | (probability > 1)
    refuse_rows(frame, outside, (PROBABILITY, "from 0 to 1"), table=TABLE)
    predicted = read_numbers(frame, PREDICTED, table=TABLE) if PREDICTED in frame else None
    refuse_repeats(frame, (*keys, c.ITEM_ID), table=TABLE)
    _refuse_other_kinds(frame, log)
    requests = frame[c.REQUEST_ID].to_numpy(dtype=object) if c.REQUEST_ID in frame else None
    places, logged_places = _code_places(positions, requests, log)
    _refuse_sums(frame, places, probability, keys)
    _refuse_missing_places(places, logged_places, log, per_request=requests is not None)
    items = frame[c.ITEM_ID].to_numpy(dtype=object)
    pairs, logged_pairs = _code_pairs(items, positions, log)
    target = TargetRows(
        items,
        positions,
        places,
        pairs,
        probability,
        predicted,
        logged_places,
        logged_pairs,
        _find_logged(places, pairs, logged_places, logged_pairs),
    )
    _refuse_no_overlap(target, log)
    return target


def _refuse_other_kinds(frame: pd.DataFrame, log: LogRows) -> None:
    in_log = {c.ITEM_ID: log.items, c.REQUEST_ID: log.request_ids}
    for name in (name for name in in_log if name in frame):
        kinds = [pd.api.types.infer_dtype(values) for values in (in_log[name], frame[name])]
        if kinds[0] != kinds[1]:
            raise DataError(f"Column {name} is {kinds[0]} in the log and {kinds[1]} in the target.")


def _code_places(
    positions: Integers, requests: npt.NDArray[np.object_] | None, log: LogRows
) -> tuple[Indices, Indices]:
    """Code positions, or pairs of request and position, consistently in both tables."""
    both = np.concatenate([positions, log.positions])
    codes, count = _factorize(both)
    if requests is not None:
        of_request, _ = _factorize(np.concatenate([requests, log.request_ids]))
        codes, _ = _factorize(of_request * np.intp(count) + codes)
    return codes[: len(positions)], codes[len(positions) :]


def _code_pairs(items: npt.NDArray[np.object_], positions: Integers, log: LogRows) -> tuple[Indices, Indices]:
    of_item, _ = _factorize(np.concatenate([items, log.items]))
    of_position, count = _factorize(np.concatenate([positions, log.positions]))
    pairs, _ = _factorize(of_item * np.intp(count) + of_position)
    return pairs[: len(items)], pairs[len(items) :]


def _factorize(values: npt.NDArray[np.generic]) -> tuple[Indices, int]:
    codes, known = pd.factorize(values)
    return codes, len(known)


def _find_logged(places: Indices, pairs: Indices, logged_places: Indices, logged_pairs: Indices) -> Indices:
    step = np.intp(max(pairs.max(), logged_pairs.max()) + 1)
    return pd.Index(places * step + pairs).get_indexer(pd.Index(logged_places * step + logged_pairs))


def _refuse_sums(frame: pd.DataFrame, places: Indices, probability: Floats, keys: list[str]) -> None:
    sums = np.bincount(places, probability)
    named = np.bincount(places) > 0
    firsts = frame.drop_duplicates(keys).assign(sum=sums[pd.unique(places)])
    off = np.abs(sums[pd.unique(places)] - 1) > TOLERANCE
    rule = (PROBABILITY, f"1 in sum at each {' and '.join(keys)} ({int(named.sum()):,} of them)")
    refuse_rows(firsts, off, rule, table=TABLE, shown=(*keys, "sum"))


def _refuse_missing_places(places: Indices, logged: Indices, log: LogRows, *, per_request: bool) -> None:
    keys = [*([c.REQUEST_ID] if per_request else []), c.POSITION]
    frame = pd.DataFrame({c.REQUEST_ID: log.request_ids, c.POSITION: log.positions})
    lacking = ~np.isin(logged, places)
    rule = (c.POSITION, "one for which the target has probabilities")
    refuse_rows(frame, lacking, rule, table="log", shown=keys)


def _refuse_no_overlap(target: TargetRows, log: LogRows) -> None:
    if not target.of_logged(target.probability).any():
        names = ", ".join(f"{item} at {at}" for item, at in zip(log.items[:3], log.positions, strict=False))
        raise DataError(
            f"The target lies outside the log's support: column {PROBABILITY} is 0 or missing for the logged "
            f"item of each of the {len(log.items):,} rows: {names}"
        )
