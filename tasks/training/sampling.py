"""Selects training rows and held-out rows by stable hashes, and weighs training examples.

The selection of a row depends only on its key (or its user) and a salt: it is the same on every machine and
Python version, in every row order, and with any other rows. Each distinct value is hashed once.

The weight of an example is a product of factors; offsets correct for some of them::

    column        a logged number, 0 or more; rows of 0 are dropped before training
    half_life     2 ** -(age / half-life), with the age relative to the newest example
    propensity    min(clip, 1 / probability that the log's policy showed the item there)
    balanced      equal total weights of positives and negatives; corrected by offsets, see below

Column, half-life and propensity determine which rows the model fits best. Balanced weights and sampled
negatives only help the trees to learn a rare outcome. They multiply the odds of a row by ``weight of a
positive / weight of a negative / rate of its negatives``. The logarithm of this factor is the row's *offset*,
which is added to its log odds in training but not in scoring, so that the trees learn the odds in the log
(King and Zeng 2001, "Logistic regression in rare events data", section 4.1, by row).

No weight of this module is a utility weight: it only affects learning (R12, R13).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.arrays import AnyFloats, Flags, Floats, Hashes
from tasks.errors import DataError
from tasks.evaluation.segments import spell_value


def hash_to_uniform(columns: Sequence[pa.ChunkedArray], *, salt: str) -> Floats:
    """Map each row's values to a stable pseudorandom number in [0, 1).

    Examples
    --------
    >>> users = pa.chunked_array([["ana", "sam", "ana"]])
    >>> hash_to_uniform([users], salt="fold").round(4).tolist()
    [0.8022, 0.7019, 0.8022]
    """
    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    key = hashlib.sha256(salt.encode()).digest()
    for column in columns:
        encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
        digests = [_hash_value(value, key) for value in encoded.dictionary.to_pylist()]
        mixed = _splitmix(mixed ^ np.array(digests, dtype=np.uint64)[encoded.indices.to_numpy()])
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def sample_rows(
    positive: Flags, key: Sequence[pa.ChunkedArray], *, negatives: float | Floats, salt: str
) -> Flags:
    """Mark the rows to train on: every positive and a share of the negatives, chosen by key.

    Parameters
    ----------
    positive : bool [n].
    key : the columns of the rows' key, each of length n.
    negatives : sampling rate of negatives, in (0, 1], one for all rows or one per row, shape [n].

    Examples
    --------
    >>> key = [pa.chunked_array([["a", "b", "c", "d"]])]
    >>> sample_rows(np.array([True, False, False, False]), key, negatives=0.5, salt="negatives")
    array([ True,  True, False, False])
    """
    if np.min(negatives, initial=1) >= 1:
        return np.ones(len(positive), dtype=np.bool_)
    return positive | (hash_to_uniform(key, salt=salt) < negatives)


def negative_rates(
    columns: Mapping[str, pa.ChunkedArray], by: Mapping[str, Mapping[str, float]], *, others: float
) -> Floats:
    """Return the sampling rate of negatives in each row's segment, shape [n].

    Parameters
    ----------
    columns : the columns that ``by`` names, each of length n.
    by : column -> its value as text -> rate; if several columns match a row, the largest rate counts.
    others : the rate of rows that no value matches.

    Examples
    --------
    >>> source = pa.chunked_array([["follow", "explore", None]])
    >>> negative_rates({"source": source}, {"source": {"explore": 0.5}}, others=0.1)
    array([0.1, 0.5, 0.1])
    """
    named = np.zeros(len(next(iter(columns.values()))))
    for name, shares in by.items():
        encoded = pc.dictionary_encode(columns[name].combine_chunks(), null_encoding="encode")
        words = [None if value is None else spell_value(value) for value in encoded.dictionary.to_pylist()]
        rates = np.array([0.0 if word is None else shares.get(word, 0.0) for word in words])
        named = np.maximum(named, rates[encoded.indices.to_numpy()])
    return np.where(named > 0, named, others)


def hold_out_users(users: pa.ChunkedArray, *, share: float, salt: str) -> Flags:
    """Mark the rows of the held-out users; all rows of a user are on one side.

    Examples
    --------
    >>> hold_out_users(pa.chunked_array([["ana", "sam", "ana"]]), share=0.75, salt="fold")
    array([False,  True, False])
    """
    return hash_to_uniform([users], salt=salt) < share


def _hash_value(value: object, key: bytes) -> int:
    text = b"" if value is None else f"={value}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "big")


def _splitmix(values: Hashes) -> Hashes:
    """Mix 64-bit words (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


GREATEST: Final = 1e12
"""Maximum logged weight, so that products and squares do not overflow."""

OLDEST: Final = 100.0
"""Maximum age in half-lives: its weight 2^-100 is negligible, but not 0."""


def column_weights(values: AnyFloats, *, task: str, column: str) -> Floats:
    """Return a logged column as weights, shape [rows].

    Examples
    --------
    >>> column_weights(np.array([0.0, 2.0]), task="click", column="quality")
    array([0., 2.])
    """
    weights = np.asarray(values, dtype=np.float64)
    wrong = ~((weights >= 0) & (weights <= GREATEST))
    if wrong.any():
        raise DataError(
            f"{_refusal(task)} weights.column '{column}' is {_format_values(weights, wrong)} in "
            f"{wrong.sum()} of {len(weights)} rows. A weight is a number from 0 to {GREATEST:g}; 0 leaves "
            "the row out."
        )
    return weights


def age_weights(
    shown_at: npt.NDArray[np.datetime64], half_life: timedelta, *, newest: datetime | None = None
) -> Floats:
    """Return weights that halve with every ``half_life`` before the newest row, shape [rows].

    Parameters
    ----------
    newest : the instant from which ages are counted; default: the time of the newest row.

    Examples
    --------
    >>> days = np.array(["2026-01-01", "2026-01-08", "2026-01-15"], dtype="datetime64[us]")
    >>> age_weights(days, timedelta(days=7))
    array([0.25, 0.5 , 1.  ])
    """
    last = shown_at.max() if newest is None else np.datetime64(newest.replace(tzinfo=None))
    age = (last - shown_at) / np.timedelta64(half_life)
    return np.asarray(np.exp2(-np.minimum(age.astype(np.float64), OLDEST)))


def propensity_weights(propensity: AnyFloats, *, clip: float, task: str) -> Floats:
    """Return the inverse of the logged propensities, at most ``clip``, shape [rows].

    Examples
    --------
    >>> propensity_weights(np.array([1.0, 0.5, 0.001]), clip=20, task="click")
    array([ 1.,  2., 20.])
    """
    known = np.asarray(propensity, dtype=np.float64)
    wrong = ~((known > 0) & (known <= 1))
    if wrong.any():
        raise DataError(
            f"{_refusal(task)} the logged propensity is {_format_values(known, wrong)} in {wrong.sum()} of "
            f"{len(known)} rows. weights.propensity needs one above 0 and at most 1 in each: log it, or "
            "leave the weight out."
        )
    return np.minimum(1 / np.maximum(known, np.finfo(np.float64).tiny), clip)


def combine_factors(factors: Iterable[Floats]) -> Floats | None:
    """Multiply factors and scale them to mean 1, so that the trees' regularisation keeps its meaning.

    Examples
    --------
    >>> combine_factors([np.array([1.0, 3.0]), np.array([2.0, 2.0])])
    array([0.5, 1.5])
    """
    product = None
    for factor in factors:
        product = factor if product is None else product * factor
    return None if product is None else product / product.mean()


def balance_classes(labels: AnyFloats, weights: Floats | None) -> tuple[Floats, float]:
    """Give positives and negatives equal total weights.

    Parameters
    ----------
    labels : float [rows], 0 or 1, with both outcomes among them.
    weights : weights of the rows so far, or None.

    Returns
    -------
    weights : weights of mean 1, shape [rows].
    offset : log of a positive's factor over a negative's.

    Examples
    --------
    >>> weights, offset = balance_classes(np.array([1.0, 0.0, 0.0, 0.0]), None)
    >>> weights.round(3), round(float(np.exp(offset)), 3)
    (array([2.   , 0.667, 0.667, 0.667]), 3.0)
    """
    before = np.ones(len(labels)) if weights is None else weights
    positive = labels > 0
    lighter, heavier = before[positive].sum(), before[~positive].sum()
    factor = np.where(positive, before.sum() / (2 * lighter), before.sum() / (2 * heavier))
    after = before * factor
    return after / after.mean(), float(np.log(heavier / lighter))


def scale_classes(rows: Floats, weights: Floats, *, balanced: bool) -> tuple[Floats, float]:
    """Return factors that scale weights to mean 1, like `combine_factors` and `balance_classes` by row.

    Parameters
    ----------
    rows, weights : [2] numbers and total weights of negatives and positives.

    Returns
    -------
    scales : [2] factors of the weights of negatives and of positives.
    offset : log of a positive's factor over a negative's.

    Examples
    --------
    >>> scales, offset = scale_classes(np.array([3.0, 1.0]), np.array([3.0, 1.0]), balanced=True)
    >>> scales.round(3), round(float(np.exp(offset)), 3)
    (array([0.667, 2.   ]), 3.0)
    """
    if balanced:
        return rows.sum() / (2 * weights), float(np.log(weights[0] / weights[1]))
    return np.full(2, rows.sum() / weights.sum()), 0.0


def effective_size(weights: AnyFloats) -> float:
    """Return the effective sample size (Kish 1965): (sum w)^2 / sum w^2.

    Examples
    --------
    >>> effective_size(np.array([1.0, 1.0, 2.0])), effective_size(np.ones(3))
    (2.6666666666666665, 3.0)
    """
    return float(weights.sum() ** 2 / np.square(weights).sum())


def describe_factors(factors: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    """Return the minimum, mean, maximum and effective number of rows of each factor.

    Examples
    --------
    >>> describe_factors({"half_life": np.array([0.5, 1.0])})["half_life"]
    {'least': 0.5, 'mean': 0.75, 'greatest': 1.0, 'effective_rows': 1.8}
    """
    return {
        name: {
            "least": float(values.min()),
            "mean": float(values.mean()),
            "greatest": float(values.max()),
            "effective_rows": effective_size(values),
        }
        for name, values in factors.items()
    }


def _refusal(task: str) -> str:
    return f"Task '{task}' cannot be trained:"


def _format_values(values: Floats, wrong: Flags) -> str:
    """Format up to three distinct values; NaN is null."""
    distinct = list(dict.fromkeys(values[wrong].tolist()))[:3]
    return ", ".join(dict.fromkeys("null" if np.isnan(value) else f"{value:g}" for value in distinct))
