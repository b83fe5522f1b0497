"""The frame of candidates: typed columns, errors that name rows, candidate sets by request.

A candidate set is all rows of one request. Rows may come in any order; code that depends on order uses
``CandidateSets.order``: by request, within it by item_id (strings by code point, integers by size).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import ITEM_ID, REQUEST_ID, expected_value, probability
from ..errors import DataError, unknown

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.int16]
"""Index of a row's context or drop among the declared ones, -1 for none."""
Series: TypeAlias = "pd.Series[Any]"  # subscripted for type checkers only

_NUMERIC_OBJECTS = frozenset({"boolean", "integer", "floating", "mixed-integer-float", "decimal", "empty"})


def read_column(frame: pd.DataFrame, name: str, asked_by: str) -> Series:
    """Return a column; raise an error if it is missing or repeated.

    Examples
    --------
    >>> read_column(pd.DataFrame({"price": [2.5]}), "price", "the policy").tolist()
    [2.5]
    """
    try:
        values = frame[name]
    except KeyError:
        raise DataError(
            f"{unknown('column', name, map(str, frame.columns), where='the candidates')} {asked_by} needs it."
        ) from None
    if not isinstance(values, pd.Series):
        raise DataError(f"The candidates hold more than one column '{name}', which {asked_by} needs.")
    return values


def describe_rows(frame: pd.DataFrame, rows: Mask) -> str:
    """Count the marked rows and name up to three of them.

    Examples
    --------
    >>> frame = pd.DataFrame({"request_id": ["r", "r"], "item_id": ["a", "b"]})
    >>> describe_rows(frame, np.array([False, True]))
    '1 of 2 rows, for example r/b'
    """
    marked = np.flatnonzero(rows)
    keys = [name for name in (REQUEST_ID, ITEM_ID) if name in frame.columns]
    shown = ["/".join(str(frame[key].iloc[row]) for key in keys) or f"row {row}" for row in marked[:3]]
    return f"{len(marked)} of {len(frame)} rows, for example {', '.join(shown)}"


def read_numbers(frame: pd.DataFrame, name: str, asked_by: str) -> Floats:
    """Return a numeric or boolean column as float64; null becomes NaN.

    Examples
    --------
    >>> read_numbers(pd.DataFrame({"new": pd.array([True, None], "boolean")}), "new", "the policy")
    array([ 1., nan])
    """
    values = read_column(frame, name, asked_by)
    floats = _as_floats(values, name, asked_by)
    infinite = np.isinf(floats)
    if infinite.any():
        raise DataError(
            f"Column '{name}' is infinite in {describe_rows(frame, infinite)}; "
            f"{asked_by} takes finite numbers."
        )
    return floats


def _as_floats(values: Series, name: str, asked_by: str) -> Floats:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    if pd.api.types.infer_dtype(values, skipna=True) in _NUMERIC_OBJECTS:
        numbers = np.where(values.isna(), np.nan, values.to_numpy(dtype=object))
        with suppress(OverflowError):
            return numbers.astype(np.float64)
        raise DataError(f"Column '{name}' holds a number beyond those of a float; {asked_by} takes none.")
    raise DataError(f"Column '{name}' holds {values.dtype} and {asked_by} needs numbers.")


def factorize(values: Series, name: str) -> tuple[Integers, npt.NDArray[np.object_]]:
    """Return a code per row (-1 for null) and the values that occur, by first appearance.

    Examples
    --------
    >>> factorize(pd.Series(["tea", None, "tea"], dtype="object"), "aisle")
    (array([ 0, -1,  0]), array(['tea'], dtype=object))
    """
    try:
        codes, distinct = values.array.factorize()  # a Series would build an index of its values
    except TypeError as error:
        raise DataError(f"Column '{name}' holds values that cannot be compared: {error}.") from error
    return np.asarray(codes, np.int64), np.asarray(distinct, np.object_)


def name_codes(codes: npt.NDArray[np.integer], names: Sequence[str]) -> pd.api.extensions.ExtensionArray:
    """Return the name of each code as text, null for -1, shape [rows].

    Examples
    --------
    >>> name_codes(np.array([1, -1, 0]), ("low", "high")).tolist()
    ['high', nan, 'low']
    """
    return pd.array(np.array([*names, None], dtype=np.object_)[codes], dtype="str")


def read_prediction(candidates: pd.DataFrame, predictions: Mapping[str, npt.ArrayLike], task: str) -> Floats:
    """Return a task's joint probability or expected value, shape [rows].

    Examples
    --------
    >>> read_prediction(pd.DataFrame(index=range(2)), {"p_click": [0.5, 0.25]}, "click")
    array([0.5 , 0.25])
    """
    name = next((n for n in (probability(task), expected_value(task)) if n in predictions), None)
    if name is None:
        raise DataError(unknown("prediction", probability(task), predictions, where="the utility policy"))
    values = np.asarray(predictions[name], dtype=np.float64)
    if values.shape != (len(candidates),):
        raise DataError(f"Prediction '{name}' has shape {values.shape} for {len(candidates)} candidates.")
    finite = np.isfinite(values)
    if not finite.all():
        raise DataError(f"Prediction '{name}' is not finite in {describe_rows(candidates, ~finite)}.")
    return values


@dataclass(frozen=True)
class CandidateSets:
    """Rows grouped by request, built once and shared by every policy that decides on them.

    Attributes
    ----------
    request : code of each row's request, ``0..len(request_ids) - 1``, shape [rows].
    request_ids : the distinct requests by first appearance.
    order : rows sorted by request code, then by item_id, shape [rows].
    """

    request: Integers
    request_ids: npt.NDArray[np.object_]
    order: Integers

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "CandidateSets":
        """Group a frame's rows by request_id."""
        request, request_ids = _factorize_key(frame, REQUEST_ID)
        item, item_ids = _factorize_key(frame, ITEM_ID)
        key = request * len(item_ids) + _rank_ids(item_ids)[item]
        order = np.argsort(key, kind="stable")
        twice = np.zeros(len(frame), dtype=np.bool_)
        twice[order[1:]] = key[order[1:]] == key[order[:-1]]
        if twice.any():
            raise DataError(
                f"The key ({REQUEST_ID}, {ITEM_ID}) is repeated in {describe_rows(frame, twice)}; keep one."
            )
        return cls(request, request_ids, order)

    def __len__(self) -> int:
        return len(self.request_ids)

    def counts(self, rows: Mask) -> Integers:
        """Count the marked rows of each request, shape [requests]."""
        return np.bincount(self.request[rows], minlength=len(self))

    def ragged(self, rows: Mask) -> tuple[Integers, Integers, Integers]:
        """Return the marked rows in ``order`` and each request's start and count among them."""
        counts = self.counts(rows)
        return self.order[rows[self.order]], np.cumsum(counts) - counts, counts


def _factorize_key(frame: pd.DataFrame, name: str) -> tuple[Integers, npt.NDArray[np.object_]]:
    codes, distinct = factorize(read_column(frame, name, "the decision"), name)
    if (codes < 0).any():
        raise DataError(
            f"Column '{name}' is null in {describe_rows(frame, codes < 0)}; every candidate needs its key."
        )
    return codes, distinct


def _rank_ids(item_ids: Sequence[Any] | npt.NDArray[np.object_]) -> Integers:
    ids = np.asarray(item_ids, dtype=object)
    rank = np.empty(len(ids), dtype=np.int64)
    try:
        rank[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    except TypeError as error:
        raise DataError(f"Column '{ITEM_ID}' mixes strings and numbers: {error}.") from error
    return rank


def mix(numbers: Hashes) -> Hashes:
    """Map 64-bit numbers one to one to pseudorandom numbers.

    Source: Steele, Lea, Flood, *Fast splittable pseudorandom number generators* (2014), its finaliser.

    Examples
    --------
    >>> mix(np.array([0, 1], dtype=np.uint64)).tolist()
    [16294208416658607535, 10451216379200822465]
    """
    z = numbers + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def hash_ids(ids: Series, name: str, salt: str) -> Hashes:
    """Hash each id as text, whole numbers alike in every type; null is hashed as empty text.

    Examples
    --------
    >>> whole, text = pd.Series([7, 8]), pd.Series(["7", "8"])
    >>> hash_ids(whole, "item_id", "spring").tolist() == hash_ids(text, "item_id", "spring").tolist()
    True
    >>> (hash_ids(whole, "item_id", "spring") == hash_ids(whole, "item_id", "autumn")).any()
    np.False_
    """
    codes, distinct = factorize(ids, name)
    key = blake2b(salt.encode(), digest_size=32).digest()
    hashes = [_hash_text(_spell(value), key, name) for value in distinct]
    return np.array([*hashes, _hash_text("", key, name)], dtype=np.uint64)[codes]


def _hash_text(text: str, key: bytes, name: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key, person=name.encode())
    return int.from_bytes(digest.digest(), "little")


def _spell(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
