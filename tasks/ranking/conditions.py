"""Evaluates conditions on a column's values, with three results: true, false and unknown.

A comparison across types (text "true" with a boolean) would silently be false for all rows, so it raises an
error. 0 and 1 are accepted for false and true.
"""

import operator
from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..contracts.base import Scalar
from ..contracts.slate import Condition
from ..errors import DataError
from .candidates import Mask, Series, factorize, read_column, read_numbers

_KINDS = {
    "boolean": "booleans",
    "integer": "numbers",
    "floating": "numbers",
    "mixed-integer-float": "numbers",
    "decimal": "numbers",
    "string": "text",
    "datetime64": "times",
    "datetime": "times",
}
_ORDERED = {"numbers", "times"}
_COMPARED = {*_ORDERED, "booleans", "text"}


def evaluate_condition(frame: pd.DataFrame, condition: Condition, asked_by: str) -> tuple[Mask, Mask]:
    """Return where a condition is true and where its column is known, each of shape [rows].

    Examples
    --------
    >>> frame = pd.DataFrame({"price": [5.0, 20.0, None]})
    >>> evaluate_condition(frame, Condition(column="price", above=10.0), "the policy")
    (array([False,  True, False]), array([ True,  True, False]))
    """
    if condition.above is not None:
        values = read_numbers(frame, condition.column, asked_by)
        return values > condition.above, ~np.isnan(values)  # comparisons with NaN are false
    if condition.below is not None:
        values = read_numbers(frame, condition.column, asked_by)
        return values < condition.below, ~np.isnan(values)
    if condition.set_column is not None:
        return _is_in_set(frame, condition, condition.set_column, asked_by)
    if condition.other_column is not None:
        return _compare(frame, condition, condition.other_column, asked_by)
    return _is_one_of(frame, condition.column, condition.operands, asked_by)


def _compare(frame: pd.DataFrame, condition: Condition, other: str, asked_by: str) -> tuple[Mask, Mask]:
    """Compare two columns row by row; a row is known if both have a value."""
    pair = [_drop_categories(read_column(frame, name, asked_by)) for name in (condition.column, other)]
    known = (pair[0].notna() & pair[1].notna()).to_numpy(dtype=np.bool_)
    kinds = {_kind_of_column(values) for values in pair if not values.isna().all()}
    if kinds in ({"times"}, {"times", "text"}) or (kinds == {"text"} and not condition.equals_column):
        pair, kinds = [_as_times(values, asked_by) for values in pair], {"times"}
    wanted = _COMPARED if condition.equals_column else _ORDERED
    if len(kinds) > 1 or not kinds <= wanted:
        raise DataError(
            f"Columns '{condition.column}' and '{other}' hold {' and '.join(sorted(kinds))}, and {asked_by} "
            f"compares them; deliver {' or '.join(sorted(wanted))} in both."
        )
    held = np.zeros(len(frame), dtype=np.bool_)
    first, second = (values[known].to_numpy() for values in pair)
    compare = (
        operator.eq if condition.equals_column else operator.gt if condition.above_column else operator.lt
    )
    held[known] = compare(first, second)
    return held, known


def _is_in_set(
    frame: pd.DataFrame, condition: Condition, set_column: str, asked_by: str
) -> tuple[Mask, Mask]:
    """Return where a list contains a value; a null list or value is unknown, an empty list has none."""
    sets = read_column(frame, set_column, asked_by).reset_index(drop=True)
    values: Series = pd.Series([condition.contains] * len(frame), dtype=object)
    if condition.contains is None:
        values = _drop_categories(read_column(frame, condition.column, asked_by)).reset_index(drop=True)
    lists = sets.map(pd.api.types.is_list_like).to_numpy(dtype=np.bool_)
    if not (lists | sets.isna().to_numpy(dtype=np.bool_)).all():
        raise DataError(
            f"Column '{set_column}' holds {_kind_of_column(sets[~lists])}, and {asked_by} needs a list of "
            "values in each row; deliver lists."
        )
    known = lists & values.notna().to_numpy(dtype=np.bool_)
    members = sets[known].explode().dropna()
    wanted = values.loc[members.index]
    kinds = {_kind_of_column(one) for one in (members, wanted) if len(members)}
    if len(kinds) > 1 or not kinds <= _COMPARED:
        raise DataError(
            f"Column '{set_column}' holds lists of {_kind_of_column(members)}, and {asked_by} looks for "
            f"{_kind_of_column(wanted)} in them; deliver one kind."
        )
    held = np.zeros(len(frame), dtype=np.bool_)
    held[members.index[members.to_numpy() == wanted.to_numpy()]] = True
    return held, known


def _as_times(values: Series, asked_by: str) -> Series:
    """Parse text as instants in UTC; text without a zone is taken as UTC."""
    try:
        return pd.to_datetime(values, utc=True, format="ISO8601").dt.tz_localize(None)
    except (ValueError, TypeError):
        raise DataError(
            f"Column '{values.name}' holds text that is no time, and {asked_by} compares it with one; "
            "deliver times such as 2026-03-01T00:00:00Z."
        ) from None


def meets_all(candidates: pd.DataFrame, when: Mapping[str, tuple[Scalar, ...]], asked_by: str) -> Mask:
    """Return where every column has one of its listed values, shape [rows].

    Examples
    --------
    >>> meets_all(pd.DataFrame({"page": ["home", None]}), {"page": ("home",)}, "the policy")
    array([ True, False])
    """
    rows = np.ones(len(candidates), dtype=np.bool_)
    for name, operands in sorted(when.items()):
        rows &= _is_one_of(candidates, name, operands, asked_by)[0]
    return rows


def read_flag(frame: pd.DataFrame, name: str, asked_by: str) -> tuple[Mask, Mask]:
    """Return where a boolean column is true and where it is known, each of shape [rows].

    Examples
    --------
    >>> read_flag(pd.DataFrame({"new": [True, None]}), "new", "the slate")
    (array([ True, False]), array([ True, False]))
    """
    return _is_one_of(frame, name, (True,), asked_by)


def encode_groups(
    frame: pd.DataFrame, name: str, asked_by: str
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return a code from 0 per value of a column; unknown values form one group, shape [rows].

    Examples
    --------
    >>> encode_groups(pd.DataFrame({"aisle": ["tea", None, "jam", "tea"]}), "aisle", "the slate")
    array([1, 0, 2, 1], dtype=int32)
    """
    codes, _ = factorize(read_column(frame, name, asked_by), name)
    return (codes + 1).astype(np.int32)


def _is_one_of(
    frame: pd.DataFrame, name: str, operands: tuple[Scalar, ...], asked_by: str
) -> tuple[Mask, Mask]:
    values = _drop_categories(read_column(frame, name, asked_by))
    matched = _match_operands(values, operands, asked_by)
    if len(values) and values.dtype == np.bool_:  # a numpy boolean column has no unknown values
        truths, holds = values.to_numpy(), np.zeros(len(values), dtype=np.bool_)
        for operand in matched:
            holds |= truths == operand
        return holds, np.ones(len(values), dtype=np.bool_)
    known = values.notna().to_numpy(dtype=np.bool_)
    return values.isin(matched).to_numpy(dtype=np.bool_) & known, known


def _drop_categories(values: Series) -> Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(values.cat.categories.dtype)
    return values


def _match_operands(values: Series, operands: tuple[Scalar, ...], asked_by: str) -> list[Scalar]:
    kind = _kind_of_column(values)
    wanted = {_kind_of(operand) for operand in operands}
    if wanted == {kind} or values.isna().all():
        return list(operands)
    if kind == "booleans" and all(operand in (0, 1) for operand in operands):
        return [bool(operand) for operand in operands]
    if kind == "numbers" and wanted == {"booleans"} and values.dropna().isin([0, 1]).all():
        return [int(operand) for operand in operands]
    raise DataError(
        f"Column '{values.name}' holds {kind}, and {asked_by} compares it with "
        f"{', '.join(map(repr, operands))}; deliver {' or '.join(sorted(wanted))}."
    )


def _kind_of_column(values: Series) -> str:
    if values.dtype == np.bool_:
        return _KINDS["boolean"]
    return _KINDS.get(pd.api.types.infer_dtype(values, skipna=True), "mixed or other values")


def _kind_of(operand: Scalar) -> str:
    if isinstance(operand, bool):
        return "booleans"
    return "text" if isinstance(operand, str) else "numbers"
