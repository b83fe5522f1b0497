"""Does a column's value meet a condition? Three answers: yes, no, and not known.

A comparison across kinds (text "true" with a boolean) would silently hold for nobody, so it refuses
the batch. 0 and 1 stand for false and true.
"""

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
}


def evaluate_condition(frame: pd.DataFrame, condition: Condition, asked_by: str) -> tuple[Mask, Mask]:
    """Return where a condition holds and where its column is known, each of shape [rows].

    Raises
    ------
    DataError
        The column is missing or of another kind than the condition.

    Examples
    --------
    >>> frame = pd.DataFrame({"price": [5.0, 20.0, None]})
    >>> evaluate_condition(frame, Condition(column="price", above=10.0), "the policy")
    (array([False,  True, False]), array([ True,  True, False]))
    """
    if condition.above is not None:
        values = read_numbers(frame, condition.column, asked_by)
        return values > condition.above, ~np.isnan(values)  # NaN compares false both ways
    if condition.below is not None:
        values = read_numbers(frame, condition.column, asked_by)
        return values < condition.below, ~np.isnan(values)
    return _is_one_of(frame, condition.column, condition.operands, asked_by)


def meets_all(candidates: pd.DataFrame, when: Mapping[str, tuple[Scalar, ...]], asked_by: str) -> Mask:
    """Return where every column has one of its values, shape [rows].

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
    """Return a code from 0 per value of a column; the unknown ones are one group, shape [rows].

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
    if len(values) and values.dtype == np.bool_:  # of numpy: nothing in it is unknown
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
