"""Encodes candidates as the matrix that a booster reads.

::

    numeric columns, as declared | categorical columns as codes of the values seen in training
    null -> NaN                  | null or unseen -> NaN, which LightGBM treats as missing
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..evaluation.segments import spell_value
from .candidates import Floats, factorize, read_column, read_numbers


@dataclass(frozen=True)
class FeatureEncoder:
    """Names and order of a model's features, and the categories seen in training.

    Attributes
    ----------
    numeric : numeric or boolean columns.
    categories : categorical column -> its known values as text, by code point.
    """

    numeric: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, frame: pd.DataFrame, numeric: Sequence[str], categorical: Sequence[str]) -> "FeatureEncoder":
        """Learn the categories of a training frame.

        Examples
        --------
        >>> shown = pd.DataFrame({"price": [2.5, None], "aisle": ["tea", "jam"]})
        >>> encoder = FeatureEncoder.fit(shown, numeric=["price"], categorical=["aisle"])
        >>> encoder.categories
        {'aisle': ('jam', 'tea')}
        >>> encoder.matrix(pd.DataFrame({"price": [1, 3], "aisle": ["tea", "rye"]}))
        array([[ 1.,  1.],
               [ 3., nan]])
        """
        encoder = cls(
            tuple(numeric),
            {name: tuple(sorted(_labels_of(frame, name))) for name in categorical},
        )
        for name in encoder.numeric:
            read_numbers(frame, name, "the feature encoder")
        return encoder

    @property
    def categorical(self) -> tuple[str, ...]:
        """The categorical columns, in declared order."""
        return tuple(self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """The matrix's columns: numeric columns, then categorical ones."""
        return (*self.numeric, *self.categories)

    def of(self, names: Collection[str]) -> "FeatureEncoder":
        """Return the encoder of some of the columns, in the same order."""
        categories = {name: known for name, known in self.categories.items() if name in names}
        return FeatureEncoder(tuple(name for name in self.numeric if name in names), categories)

    def same_as(self, other: "FeatureEncoder") -> bool:
        """Whether both return the same matrix, including the order of columns."""
        return self.to_json() == other.to_json()

    def matrix(self, frame: pd.DataFrame, held: Mapping[str, float] | None = None) -> Floats:
        """Encode candidates, shape [rows, features], row-major."""
        encoded = np.empty((len(frame), len(self.names)), dtype=np.float64)
        fixed = held or {}
        own = [position for position, name in enumerate(self.numeric) if name not in fixed]
        at_once = _read_at_once(frame, [self.numeric[position] for position in own])
        if at_once is not None:
            encoded[:, own if fixed else slice(len(own))] = at_once
        for position, name in enumerate(self.numeric):
            if name in fixed:
                encoded[:, position] = fixed[name]
            elif at_once is None:
                encoded[:, position] = read_numbers(frame, name, "the feature encoder")
        for position, name in enumerate(self.categories, start=len(self.numeric)):
            encoded[:, position] = _encode_column(frame, name, self._codes[name])
        return encoded

    @cached_property
    def _codes(self) -> dict[str, dict[str, float]]:
        return {
            name: {label: float(code) for code, label in enumerate(known)}
            for name, known in self.categories.items()
        }

    def to_json(self) -> dict[str, object]:
        """Return plain JSON."""
        return {
            "numeric": list(self.numeric),
            "categorical": [{"name": name, "values": list(known)} for name, known in self.categories.items()],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FeatureEncoder":
        """Read the output of ``to_json``."""
        return cls(
            tuple(content["numeric"]),
            {entry["name"]: tuple(entry["values"]) for entry in content["categorical"]},
        )


def _read_at_once(frame: pd.DataFrame, names: Sequence[str]) -> Floats | None:
    """Return columns as one array of finite or missing numbers, shape [rows, names], else None.

    For a request of a few hundred candidates, reading column by column takes longer than the trees.
    """
    columns = frame.columns.tolist()
    place_of = {name: place for place, name in enumerate(columns)}
    if len(place_of) < len(columns) or not all(name in place_of for name in names):
        return None
    places = [place_of[name] for name in names]
    numbers = frame.take(places, axis="columns").to_numpy()
    if numbers.dtype.kind not in "biuf":
        return None
    numbers = numbers.astype(np.float64, copy=False)
    return None if np.isinf(numbers).any() else numbers


def _labels_of(frame: pd.DataFrame, name: str) -> set[str]:
    """Return the texts of values that occur; unused declared categories are left out."""
    distinct = factorize(read_column(frame, name, "the feature encoder"), name)[1]
    return {spell_value(value) for value in distinct}


def _encode_column(frame: pd.DataFrame, name: str, code_of: Mapping[str, float]) -> Floats:
    codes, values = _read_codes(frame, name)
    # the last entry is for code -1 (null)
    return np.array([*(code_of.get(spell_value(value), np.nan) for value in values), np.nan])[codes]


def _read_codes(frame: pd.DataFrame, name: str) -> tuple[npt.NDArray[np.integer], Iterable[object]]:
    """Return a code per row (-1 for null) and each code's value; codes may be unused."""
    column = read_column(frame, name, "the feature encoder")
    values = column.array
    if isinstance(values, pd.Categorical) and len(values.categories) <= len(values):
        return values.codes, values.categories.tolist()
    return factorize(column, name)
