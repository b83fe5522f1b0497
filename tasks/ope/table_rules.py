"""What a table of rows must hold, and one message for what breaks it: column, rule, count, examples."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.arrays import Flags, Floats, Integers
from tasks.errors import DataError, unknown

_EXAMPLES: Final = 3
_NEAREST: Final = 12
"""Columns that a message lists of a table that lacks one: a log may have hundreds."""


def refuse_missing(names: Iterable[str], known: Iterable[str], *, table: str) -> None:
    """Refuse a table that lacks some columns.

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
    """Refuse a table without rows or without one of some columns."""
    refuse_missing(names, map(str, frame.columns), table=table)
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DataError(f"The {table} has column '{twice}' twice.")
    if not len(frame):
        raise DataError(f"The {table} holds no row.")


def require_keys(frame: pd.DataFrame, names: Sequence[str], *, table: str) -> None:
    """Refuse null ids, and ids that are neither strings nor whole numbers, alike in the whole column."""
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
    """Refuse rows of which an earlier one has the same values in some columns."""
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
    """Refuse a table of which some rows break a rule.

    Parameters
    ----------
    broken : [n] whether a row does.
    column_rule : the column and what it should be, in words.
    shown : columns that the examples show; the column itself by default.

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
