"""Selects training rows and held-out rows by stable hashes.

The selection of a row depends only on its key (or its user) and a salt: it is the same on every machine and
Python version, in every row order, and with any other rows. Each distinct value is hashed once.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.arrays import Flags, Floats, Hashes
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
    for column in columns:
        mixed = _splitmix(mixed ^ _hash_column(column, salt))
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


def _hash_column(column: pa.ChunkedArray, salt: str) -> Hashes:
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    key = hashlib.sha256(salt.encode()).digest()
    digests = [_hash_value(value, key) for value in encoded.dictionary.to_pylist()]
    return np.array(digests, dtype=np.uint64)[encoded.indices.to_numpy()]


def _hash_value(value: object, key: bytes) -> int:
    text = b"" if value is None else f"={value}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=key).digest(), "big")


def _splitmix(values: Hashes) -> Hashes:
    """Mix 64-bit words (the finaliser of SplitMix64, Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
