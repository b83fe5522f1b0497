"""Balance: tests whether the ranker used a column of the log that the logged propensities ignore.

Propensities that ignore an input of the ranker can average to the right sum and still be wrong where it
matters. With correct propensities, for any information known before the item a was drawn,

    E[w 1{item = a} | request, position, items above] = pi(a | request, position, items above)

where pi is the target's probability at the row's own place, within its request if the target depends on it.
So for an item a and a value v of a column, summed over the rows of a user,

    x = sum over rows with v of  w 1{item = a} - pi(a)        has a mean of 0
    z = sum of x / sqrt(sum of x^2)

Only an excess (z > 0) rejects the propensities. Wrong propensities give one item too much weight and another
too little, so an excess always exists. A shortfall also occurs with correct propensities: before a rare draw
with a large weight has happened, both the sum of x and the sum of x^2 are too small.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from tasks import columns as c
from tasks.arrays import Floats, Indices
from tasks.evaluation.resampling import LEAST_CLUSTERS

MOST_ITEMS: Final = 20
"""Number of compared items: those that the target shows most."""
MOST_VALUES: Final = 20
"""Number of compared values of a column, the most frequent; a numeric column with more is binned."""
BINS: Final = 5
LEAST_Z: Final = 3.5
"""Smallest z that rejects the propensities."""
FALSE_ALARMS: Final = 0.01
"""Largest share of correct logs that are rejected: the limit of z grows with the number of compared cells."""
_OTHER: Final = -1


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
            column = _bins(column)
        codes, values = pd.factorize(column.astype(object), use_na_sentinel=False)
        order = np.argsort(-np.bincount(codes), kind="stable")[:MOST_VALUES]
        place = np.full(len(values), _OTHER)
        place[order] = np.arange(len(order))
        named = tuple("null" if pd.isna(values[at]) else str(values[at]) for at in order)
        return cls(str(column.name), place[codes], named)


def _bins(column: "pd.Series[Any]") -> "pd.Series[Any]":
    cut = pd.qcut(column.astype(np.float64), BINS, duplicates="drop")
    names = [f"{max(one.left, column.min()):.4g} to {one.right:.4g}" for one in cut.cat.categories]
    return cut.cat.rename_categories(dict(zip(cut.cat.categories, names, strict=True)))


@dataclass(frozen=True)
class Imbalance:
    """The cell with the largest excess of weights over the target's probability.

    Attributes
    ----------
    column, value, item : identify the cell.
    z : its sum of x divided by the root of its sum of squares.
    ratio : sum of weights over the target's probability there; 1 is expected.
    limit : the z above which propensities are rejected, by the number of compared cells.
    """

    column: str
    value: str
    item: str
    z: float
    ratio: float
    limit: float

    @property
    def refuses(self) -> bool:
        """Whether the propensities are rejected."""
        return self.z > self.limit


@dataclass(frozen=True)
class WeightedItem:
    """An item: the log's weights in rows that show it, and the target's probability in all rows, [n]."""

    name: str
    weight: Floats
    probability: Floats


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


def find_imbalance(
    columns: Sequence[ContextColumn], items: Sequence[WeightedItem], users: Indices
) -> Imbalance | None:
    """Return the cell with the largest z; None if no cell can be compared.

    Examples
    --------
    >>> device = ContextColumn("device", np.repeat([0, 1], 50), ("web", "app"))
    >>> always = WeightedItem("7", np.repeat([2.0, 0.0], 50), np.full(100, 1.0))
    >>> found = find_imbalance([device], [always], np.arange(100))
    >>> found.value, found.ratio, found.refuses
    ('web', 2.0, True)
    """
    cells = [cell for column in columns for cell in _cells(column, items, users)]
    if not cells:
        return None
    limit = max(LEAST_Z, float(-ndtri(FALSE_ALARMS / len(cells))))
    column, value, item, z, ratio = max(cells, key=lambda cell: cell[3])
    return Imbalance(column, value, item, z, ratio, limit)


def _cells(
    column: ContextColumn, items: Sequence[WeightedItem], users: Indices
) -> Iterator[tuple[str, str, str, float, float]]:
    """Yield column, value, item, z and ratio of each comparable cell."""
    rows = np.flatnonzero(column.codes >= 0)
    size = len(column.labels)
    groups, pairs = pd.factorize(users[rows] * np.intp(size) + column.codes[rows])
    values = pairs % size
    enough = np.bincount(values, minlength=size) >= LEAST_CLUSTERS

    def by_value(of_group: Floats) -> Floats:
        return np.bincount(values, of_group, size).astype(np.float64)

    for item in items:
        weights, expected = (
            np.bincount(groups, each[rows]).astype(np.float64) for each in (item.weight, item.probability)
        )
        drawn, shown = by_value(weights), by_value(expected)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = drawn / shown
            z = (drawn - shown) / np.sqrt(by_value((weights - expected) ** 2))
        for at in np.flatnonzero(enough & (drawn > 0) & (shown > 0) & np.isfinite(z)):
            yield column.name, column.labels[at], item.name, float(z[at]), float(ratio[at])


def weighted_items(
    items: npt.NDArray[np.object_],
    probability: Floats,
    places: Indices,
    logged: tuple[npt.NDArray[np.object_], Indices, Floats],
) -> Iterator[WeightedItem]:
    """Yield the items that the target shows most, with their weights and probabilities in the log's rows.

    Parameters
    ----------
    items, probability, places : [m] columns of the target.
    logged : [n] items, places and weights of the log's rows.
    """
    logged_items, logged_places, weight = logged
    codes, names = pd.factorize(np.concatenate([items, logged_items]))
    of_target, of_log = codes[: len(items)], codes[len(items) :]
    count = int(max(places.max(), logged_places.max())) + 1
    mass = np.bincount(of_target, probability * np.bincount(logged_places, minlength=count)[places])
    for item in np.argsort(-mass, kind="stable")[:MOST_ITEMS]:
        if mass[item] > 0:
            mine = of_target == item
            shown = np.bincount(places[mine], probability[mine], count).astype(np.float64)[logged_places]
            yield WeightedItem(str(names[item]), np.where(of_log == item, weight, 0.0), shown)
