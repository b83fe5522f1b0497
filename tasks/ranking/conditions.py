"""Does a column's value meet a condition? Three answers: yes, no, and not known.

A comparison across kinds (text "true" with a boolean) would silently hold for nobody, so it refuses
the batch. 0 and 1 stand for false and true.
"""

import numpy as np
import pandas as pd

from ..errors import DataError
from .candidates import Mask, Series, factorize, read_column, read_numbers
from .condition import Condition, Scalar

_TRUE: tuple[Scalar, ...] = (True,)
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
    >>> evaluate_condition(frame, Condition("price", "above", (10.0,)), "the policy")
    (array([False,  True, False]), array([ True,  True, False]))
    """
    if condition.operator != "one_of":
        return _compare_number(frame, condition, asked_by)
    values = _drop_categories(read_column(frame, condition.column, asked_by))
    if len(values) and values.dtype == np.bool_:  # of numpy: nothing in it is unknown
        return _match_truths(values.to_numpy(), _match_operands(values, condition, asked_by))
    known = values.notna().to_numpy(dtype=np.bool_)
    operands = _match_operands(values, condition, asked_by)
    return values.isin(operands).to_numpy(dtype=np.bool_) & known, known


def _match_truths(truths: Mask, operands: list[Scalar]) -> tuple[Mask, Mask]:
    holds = np.zeros(len(truths), dtype=np.bool_)
    for operand in operands:
        holds |= truths == operand
    return holds, np.ones(len(truths), dtype=np.bool_)


def meets_all(candidates: pd.DataFrame, conditions: tuple[Condition, ...], asked_by: str) -> Mask:
    """Return where every condition holds, shape [rows].

    Examples
    --------
    >>> home = Condition("page", "one_of", ("home",))
    >>> meets_all(pd.DataFrame({"page": ["home", None]}), (home,), "the policy")
    array([ True, False])
    """
    rows = np.ones(len(candidates), dtype=np.bool_)
    for condition in conditions:
        rows &= evaluate_condition(candidates, condition, asked_by)[0]
    return rows


def read_flag(frame: pd.DataFrame, name: str, asked_by: str) -> tuple[Mask, Mask]:
    """Return where a boolean column is true and where it is known, each of shape [rows].

    Examples
    --------
    >>> read_flag(pd.DataFrame({"new": [True, None]}), "new", "the slate")
    (array([ True, False]), array([ True, False]))
    """
    return evaluate_condition(frame, Condition(name, "one_of", _TRUE), asked_by)


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


def _compare_number(frame: pd.DataFrame, condition: Condition, asked_by: str) -> tuple[Mask, Mask]:
    values = read_numbers(frame, condition.column, asked_by)
    bound = float(condition.operands[0])
    # NaN compares false both ways
    return (values > bound if condition.operator == "above" else values < bound), ~np.isnan(values)


def _drop_categories(values: Series) -> Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(values.cat.categories.dtype)
    return values


def _match_operands(values: Series, condition: Condition, asked_by: str) -> list[Scalar]:
    kind = _kind_of_column(values)
    wanted = {_kind_of(operand) for operand in condition.operands}
    if wanted == {kind} or values.isna().all():
        return list(condition.operands)
    if kind == "booleans" and all(operand in (0, 1) for operand in condition.operands):
        return [bool(operand) for operand in condition.operands]
    if kind == "numbers" and wanted == {"booleans"} and values.dropna().isin([0, 1]).all():
        return [int(operand) for operand in condition.operands]
    raise DataError(
        f"Column '{condition.column}' holds {kind}, and {asked_by} compares it with "
        f"{', '.join(map(repr, condition.operands))}; deliver {' or '.join(sorted(wanted))}."
    )


def _kind_of_column(values: Series) -> str:
    if values.dtype == np.bool_:
        return _KINDS["boolean"]
    return _KINDS.get(pd.api.types.infer_dtype(values, skipna=True), "mixed or other values")


def _kind_of(operand: Scalar) -> str:
    if isinstance(operand, bool):
        return "booleans"
    return "text" if isinstance(operand, str) else "numbers"
