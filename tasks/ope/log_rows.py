"""The tables of an off-policy estimate, checked.

The log has one row per shown item.

========== ==================================================================================
request_id, item_id   strings or whole numbers, no null; no item twice in a request
position   from 1, no position twice in a request
propensity above 0 to 1: the log's probability of this item at this position, given those above it
reward     any column of numbers or booleans, known in every row
user_id    optional: rows of one user are clustered; if it is null, rows of one request
shown_at   optional: a time or a date; rows of one day (UTC) are clustered too
behavior   optional: independent, cascade or standard: which items the rewards of the request depend on
<reward>__status   optional: rows whose label is not observed are left out and counted
others     possible inputs of the ranker: propensities are checked by them (`overlap`)
========== ==================================================================================

A broken rule of a table is reported in one message: column, rule, count, examples.

The target policy has one row per item that it may show at a position.

=========== =================================================================================
item_id, position     as in the log
request_id  optional: if the probabilities depend on the request
probability 0 to 1, of this item at this position, given the logged items above it; they add up to 1
q           optional: the expected reward of this item here, by a model not trained on these rows
=========== =================================================================================

An item without a row has probability 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks import columns as c
from tasks.arrays import Flags, Floats, Indices, Integers
from tasks.errors import DataError, unknown
from tasks.evaluation.resampling import Clusters, cluster_rows
from tasks.ope.slates import BEHAVIORS

MOST_VALUES: Final = 20
"""Number of compared values of a column, the most frequent; a numeric column with more is binned."""
BINS: Final = 5
_OTHER: Final = -1
_EXAMPLES: Final = 3
_NEAREST: Final = 12
"""Number of existing columns listed in an error about a missing one: a log may have hundreds."""


def refuse_missing(names: Iterable[str], known: Iterable[str], *, table: str) -> None:
    """Raise an error if a table lacks columns.

    Examples
    --------
    >>> refuse_missing(["click"], ["clicks", "position"], table="log")
    Traceback (most recent call last):
    ...
    tasks.errors.DataError: Missing column 'click' in the log. Known: clicks, position. Did you mean 'clicks'?
    """
    there = list(known)
    if missing := [name for name in names if name not in there]:
        nearest = {name: get_close_matches(name, there, n=_NEAREST, cutoff=0) for name in missing}
        lines = [unknown("column", name, nearest[name], where=f"the {table}") for name in missing]
        raise DataError("\n".join(line.replace("Unknown", "Missing", 1) for line in lines))


def require_columns(frame: pd.DataFrame, names: Iterable[str], *, table: str) -> None:
    """Raise an error if a table has no rows or lacks columns."""
    refuse_missing(names, map(str, frame.columns), table=table)
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"The {table} has column '{twice}' twice.")
    if not len(frame):
        raise DataError(f"The {table} holds no row.")


def require_keys(frame: pd.DataFrame, names: Sequence[str], *, table: str) -> None:
    """Raise an error for null ids, and for ids that are not all strings or all whole numbers."""
    for name in names:
        refuse_rows(frame, frame[name].isna().to_numpy(), (name, "not null"), table=table)
        kind = pd.api.types.infer_dtype(frame[name], skipna=False)
        if kind not in {"string", "integer"}:
            raise DataError(f"The {table}: column {name} is {kind}; ids are strings or whole numbers.")


def read_numbers(frame: pd.DataFrame, name: str, *, table: str) -> Floats:
    """Return a column as finite floats."""
    column = frame[name]
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        kind = pd.api.types.infer_dtype(column, skipna=True)
        raise DataError(f"The {table}: column {name} is {kind}; it must be a number.")
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    refuse_rows(frame, ~np.isfinite(values), (name, "a finite number"), table=table)
    return values


def read_positions(frame: pd.DataFrame, name: str, *, table: str) -> Integers:
    """Return a column of positions: whole numbers from 1."""
    values = read_numbers(frame, name, table=table)
    outside = (values < 1) | (values != np.floor(values)) | (values > np.iinfo(np.int32).max)
    refuse_rows(frame, outside, (name, "a whole number from 1"), table=table)
    return values.astype(np.int64)


def read_days(frame: pd.DataFrame, name: str, *, table: str) -> npt.NDArray[np.datetime64]:
    """Return the days in UTC of a column of times or dates."""
    column = frame[name]
    if not pd.api.types.is_datetime64_any_dtype(column):
        if (kind := pd.api.types.infer_dtype(column, skipna=True)) != "date":
            raise DataError(f"The {table}: column {name} is {kind}; it must be a time or a date.")
        column = pd.to_datetime(column)
    refuse_rows(frame, column.isna().to_numpy(), (name, "not null"), table=table)
    return pd.to_datetime(column, utc=True).to_numpy(dtype="datetime64[D]")


def refuse_repeats(frame: pd.DataFrame, names: Sequence[str], *, table: str) -> None:
    """Raise an error if rows repeat the values of some columns."""
    repeated = frame.duplicated(list(names)).to_numpy()
    refuse_rows(frame, repeated, (", ".join(names), "no two rows alike"), table=table, shown=names)


def refuse_rows(
    frame: pd.DataFrame,
    broken: Flags,
    column_rule: tuple[str, str],
    *,
    table: str,
    shown: Sequence[str] = (),
) -> None:
    """Raise an error if some rows of a table break a rule.

    Parameters
    ----------
    broken : [n] whether a row breaks the rule.
    column_rule : the column and the rule in words.
    shown : columns to show in the examples; the column itself by default.

    Examples
    --------
    >>> frame = pd.DataFrame({"p": [0.0, 0.5]})
    >>> refuse_rows(frame, np.array([True, False]), ("p", "above 0"), table="log")
    Traceback (most recent call last):
    ...
    tasks.errors.DataError: The log: column p must be above 0; 1 of 2 rows is not: row 0 (p 0.0)
    """
    if not broken.any():
        return
    column, rule = column_rule
    count, places = int(broken.sum()), np.flatnonzero(broken)[:_EXAMPLES]
    names = [name for name in (*(shown or (column,)),) if name in frame.columns]
    values = frame[names].iloc[places].astype(object).to_numpy()
    examples = [
        f"row {place} ({', '.join(f'{name} {value}' for name, value in zip(names, row, strict=True))})"
        for place, row in zip(places, values, strict=True)
    ]
    are = "is" if count == 1 else "are"
    raise DataError(
        f"The {table}: column {column} must be {rule}; {count:,} of {len(broken):,} rows {are} not: "
        f"{', '.join(examples)}"
    )


TABLE: Final = "log"
BEHAVIOR: Final = "behavior"
REQUIRED: Final = (c.REQUEST_ID, c.ITEM_ID, c.POSITION, c.PROPENSITY)
OPTIONAL: Final = (c.USER_ID, BEHAVIOR, c.SHOWN_AT)


@dataclass(frozen=True)
class ContextColumn:
    """A column of n rows by value: codes [n] of ``labels``, -1 if the value is not compared."""

    name: str
    codes: Indices
    labels: tuple[str, ...]

    @classmethod
    def of(cls, column: "pd.Series[Any]") -> "ContextColumn":
        """Encode a column: its most frequent values, or bins if it is numeric and has more than 20 values.

        Examples
        --------
        >>> ContextColumn.of(pd.Series(["web", None, "web"], name="device"))
        ContextColumn(name='device', codes=array([0, 1, 0]), labels=('web', 'null'))
        >>> ContextColumn.of(pd.Series(range(100), name="age")).labels
        ('0 to 19.8', '19.8 to 39.6', '39.6 to 59.4', '59.4 to 79.2', '79.2 to 99')
        """
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if numeric and column.nunique() > MOST_VALUES:
            cut = pd.qcut(column.astype(np.float64), BINS, duplicates="drop")
            names = [f"{max(one.left, column.min()):.4g} to {one.right:.4g}" for one in cut.cat.categories]
            column = cut.cat.rename_categories(dict(zip(cut.cat.categories, names, strict=True)))
        codes, values = pd.factorize(column.astype(object), use_na_sentinel=False)
        order = np.argsort(-np.bincount(codes), kind="stable")[:MOST_VALUES]
        place = np.full(len(values), _OTHER)
        place[order] = np.arange(len(order))
        named = tuple("null" if pd.isna(values[at]) else str(values[at]) for at in order)
        return cls(str(column.name), place[codes], named)


@dataclass(frozen=True)
class LogRows:
    """Shown items, each array of shape [n].

    Attributes
    ----------
    requests : codes from 0 in order of appearance.
    request_ids, items : ids as logged.
    positions : from 1.
    propensity, reward : numbers.
    clusters : clusters of rows, by user or request.
    behaviors : [requests] index in `BEHAVIORS`; None if it is not logged.
    left_out : number of rows left out because their label is not observed.
    torn : number of requests with some, but not all rows left out.
    days : [n] codes; None if no time is logged.
    context : columns by which propensities are checked.
    of_item : further columns, which describe the item and are not checked.
    """

    requests: Indices
    request_ids: npt.NDArray[np.object_]
    items: npt.NDArray[np.object_]
    positions: Integers
    propensity: Floats
    reward: Floats
    clusters: Clusters
    behaviors: Indices | None
    left_out: int
    torn: int = 0
    days: Indices | None = None
    context: tuple[ContextColumn, ...] = ()
    of_item: tuple[str, ...] = ()

    @cached_property
    def request_count(self) -> int:
        """Number of requests."""
        return int(self.requests.max()) + 1

    @cached_property
    def lengths(self) -> Indices:
        """Number of slots of each request, [requests]."""
        return np.bincount(self.requests)

    @cached_property
    def with_gaps(self) -> int:
        """Number of requests whose positions are not 1, 2, ... without a gap."""
        last = np.zeros(self.request_count, dtype=np.int64)
        np.maximum.at(last, self.requests, self.positions)
        return int(np.count_nonzero(last != self.lengths))

    def as_slates(self, values: Floats, *, missing: float) -> Floats:
        """Arrange row values as [requests, longest slate]; ``missing`` for slots that do not exist."""
        laid = np.full((self.request_count, int(self.positions.max())), missing)
        laid[self.requests, self.positions - 1] = values
        return laid


def read_log(frame: pd.DataFrame, *, reward: str, balance: Sequence[str] | None = None) -> LogRows:
    """Check a log and return its rows sorted by request and position, so that their order has no effect.

    Examples
    --------
    >>> log = pd.DataFrame({"request_id": ["r", "r"], "item_id": [7, 8], "position": [1, 2],
    ...                     "propensity": [0.5, 1.0], "click": [True, False]})
    >>> rows = read_log(log, reward="click")
    >>> rows.reward.tolist(), rows.with_gaps, rows.as_slates(rows.propensity, missing=1.0).tolist()
    ([1.0, 0.0], 0, [[0.5, 1.0]])
    """
    require_columns(frame, (*REQUIRED, reward, *(balance or ())), table=TABLE)
    every = frame[c.REQUEST_ID]
    frame, left_out = select_observed(frame, c.status(reward))
    require_keys(frame, (c.REQUEST_ID, c.ITEM_ID), table=TABLE)
    read_positions(frame, c.POSITION, table=TABLE)
    # folds and draws depend on the order of the rows, which is arbitrary
    frame = frame.sort_values([c.REQUEST_ID, c.POSITION], kind="stable")
    positions = frame[c.POSITION].to_numpy(dtype=np.int64)
    propensity = read_numbers(frame, c.PROPENSITY, table=TABLE)
    outside = (propensity <= 0) | (propensity > 1)
    refuse_rows(frame, outside, (c.PROPENSITY, "above 0 and at most 1"), table=TABLE)
    rewards = read_numbers(frame, reward, table=TABLE)
    for key in ((c.REQUEST_ID, c.POSITION), (c.REQUEST_ID, c.ITEM_ID)):
        refuse_repeats(frame, key, table=TABLE)
    requests, _ = pd.factorize(frame[c.REQUEST_ID])
    described = (*REQUIRED, *OPTIONAL, reward, c.status(reward))
    context, of_item = choose_columns(frame, described, declared=balance)
    before, after = every.value_counts(), frame[c.REQUEST_ID].value_counts()
    return LogRows(
        requests,
        frame[c.REQUEST_ID].to_numpy(dtype=object),
        frame[c.ITEM_ID].to_numpy(dtype=object),
        positions,
        propensity,
        rewards,
        _cluster(frame, requests),
        _behaviors(frame, requests) if BEHAVIOR in frame else None,
        left_out,
        int((before.reindex(after.index) > after).sum()),  # requests of which only some rows are kept
        pd.factorize(read_days(frame, c.SHOWN_AT, table=TABLE))[0] if c.SHOWN_AT in frame else None,
        tuple(context),
        tuple(of_item),
    )


def select_observed(frame: pd.DataFrame, status: str) -> tuple[pd.DataFrame, int]:
    """Return the rows whose label is observed, all if no status is logged, and the number of other rows."""
    if status not in frame:
        return frame, 0
    observed = frame[status] == c.Status.OBSERVED.value
    if not observed.any():
        raise DataError(f"The {TABLE}: column {status} is {c.Status.OBSERVED.value} in none of its rows.")
    return frame[observed], int((~observed).sum())


def _cluster(frame: pd.DataFrame, requests: Indices) -> Clusters:
    """Cluster rows by user, or by request if there are no users."""
    if c.USER_ID in frame and not frame[c.USER_ID].isna().all():
        return cluster_rows(frame[c.USER_ID].to_numpy(dtype=object), requests)
    return Clusters(requests, int(requests.max()) + 1, "requests")


def _behaviors(frame: pd.DataFrame, requests: Indices) -> Indices:
    codes = pd.Index(BEHAVIORS).get_indexer(pd.Index(frame[BEHAVIOR].astype(object)))
    if (codes < 0).any():
        first_unknown = str(frame[BEHAVIOR].iloc[int(np.argmax(codes < 0))])
        raise DataError(
            unknown(BEHAVIOR, first_unknown, BEHAVIORS, where=f"{np.sum(codes < 0)} rows of the log")
        )
    first = np.empty(int(requests.max()) + 1, dtype=np.intp)
    first[requests[::-1]] = codes[::-1]
    differs = codes != first[requests]
    shown = (c.REQUEST_ID, BEHAVIOR)
    refuse_rows(frame, differs, (BEHAVIOR, "one word in a request"), table=TABLE, shown=shown)
    return first


def choose_columns(
    frame: pd.DataFrame, known: Sequence[str], *, declared: Sequence[str] | None
) -> tuple[list[ContextColumn], list[str]]:
    """Return the columns by which balance is checked, and the names of columns that cannot be used.

    Parameters
    ----------
    frame : the log.
    known : its columns with another meaning.
    declared : names; None uses every other column that does not describe the item: one that differs between
        the items of a request, or has a single value for each item, describes the item.
    """
    if declared is not None:
        return [ContextColumn.of(frame[name]) for name in declared], []
    others = [name for name in map(str, frame.columns) if name not in known and not _of_label(name, frame)]
    several = [name for name in others if len(pd.unique(frame[name])) > 1]
    of_item = [name for name in several if _describes_item(frame, name)]
    return [ContextColumn.of(frame[name]) for name in several if name not in of_item], of_item


def _of_label(name: str, frame: pd.DataFrame) -> bool:
    """Whether a column is a task's label, belongs to a label, or is a factor of perturbed weights."""
    return "__" in name or c.status(name) in frame or name.startswith(c.weight_factor(""))


def _describes_item(frame: pd.DataFrame, name: str) -> bool:
    codes = pd.Series(pd.factorize(frame[name], use_na_sentinel=False)[0], index=frame.index)

    def constant(key: str) -> bool:
        groups = codes.groupby(frame[key], sort=False)
        return bool((groups.transform("min") == groups.transform("max")).all())

    return not constant(c.REQUEST_ID) or constant(c.ITEM_ID)


TARGET: Final = "target"
PROBABILITY: Final = "probability"
PREDICTED: Final = "q"
REQUIRED_OF_TARGET: Final = (c.ITEM_ID, c.POSITION, PROBABILITY)
OPTIONAL_OF_TARGET: Final = (c.REQUEST_ID, PREDICTED)
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

    def count_shown(self) -> Floats:
        """Return how often the target shows each pair of item and position in the log's rows, [pairs]."""
        rows = np.bincount(self.logged_places, minlength=int(self.places.max()) + 1)[self.places]
        return np.bincount(self.pairs, self.probability * rows, self.pair_count).astype(np.float64)


def read_target(frame: pd.DataFrame, log: LogRows) -> TargetRows:
    """Check a target policy together with the log."""
    keys = [*([c.REQUEST_ID] if c.REQUEST_ID in frame else []), c.POSITION]
    require_columns(frame, REQUIRED_OF_TARGET, table=TARGET)
    require_keys(frame, [name for name in (c.REQUEST_ID, c.ITEM_ID) if name in frame], table=TARGET)
    positions = read_positions(frame, c.POSITION, table=TARGET)
    probability = read_numbers(frame, PROBABILITY, table=TARGET)
    outside = (probability < 0) | (probability > 1)
    refuse_rows(frame, outside, (PROBABILITY, "from 0 to 1"), table=TARGET)
    predicted = read_numbers(frame, PREDICTED, table=TARGET) if PREDICTED in frame else None
    refuse_repeats(frame, (*keys, c.ITEM_ID), table=TARGET)
    _refuse_other_kinds(frame, log)
    requests = frame[c.REQUEST_ID].to_numpy(dtype=object) if c.REQUEST_ID in frame else None
    places, logged_places = _code_places(positions, requests, log)
    _refuse_sums(frame, places, probability, keys)
    _refuse_missing_places(places, logged_places, log, per_request=requests is not None)
    items = frame[c.ITEM_ID].to_numpy(dtype=object)
    of_item, _ = _factorize(np.concatenate([items, log.items]))
    of_position, count = _factorize(np.concatenate([positions, log.positions]))
    both, _ = _factorize(of_item * np.intp(count) + of_position)
    pairs, logged_pairs = both[: len(items)], both[len(items) :]
    step = np.intp(max(pairs.max(), logged_pairs.max()) + 1)
    target = TargetRows(
        items,
        positions,
        places,
        pairs,
        probability,
        predicted,
        logged_places,
        logged_pairs,
        pd.Index(places * step + pairs).get_indexer(pd.Index(logged_places * step + logged_pairs)),
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


def _factorize(values: npt.NDArray[np.generic]) -> tuple[Indices, int]:
    codes, known = pd.factorize(values)
    return codes, len(known)


def _refuse_sums(frame: pd.DataFrame, places: Indices, probability: Floats, keys: list[str]) -> None:
    sums = np.bincount(places, probability)
    named = np.bincount(places) > 0
    firsts = frame.drop_duplicates(keys).assign(sum=sums[pd.unique(places)])
    off = np.abs(sums[pd.unique(places)] - 1) > TOLERANCE
    rule = (PROBABILITY, f"1 in sum at each {' and '.join(keys)} ({int(named.sum()):,} of them)")
    refuse_rows(firsts, off, rule, table=TARGET, shown=(*keys, "sum"))


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
