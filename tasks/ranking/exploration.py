"""Exploration slots: the candidates that a random rule may draw, and their random numbers.

A candidate's number depends only on salt, request, user, item and draw: there is no state, and it is the same
in every process, batch and order of rows. Each draw takes the smallest number among the candidates allowed in
the slot, and numbers of two draws are independent. So each of n such candidates is drawn with probability
1/n, independently of earlier draws.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..columns import ITEM_ID, REQUEST_ID, USER_ID
from ..contracts.slate import Exploration
from .candidates import Mask, Series, factorize, read_column
from .conditions import evaluate_condition

EXPLORATION = "exploration"
Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Pool:
    """The candidates that may be drawn into ``slots`` slots, and a random number of each, shape [rows].

    ``among`` : draw only from this many of the best ranked of them; None for all.
    """

    slots: int
    rows: Mask
    numbers: Numbers
    among: int | None = None

    @classmethod
    def of(cls, candidates: pd.DataFrame, rule: Exploration) -> "Pool":
        """Mark a rule's candidates; a candidate with an unknown column is not one of them."""
        asked_by = f"slate rule '{EXPLORATION}'"
        rows = np.ones(len(candidates), dtype=np.bool_)
        if rule.where is not None:
            rows = np.logical_and(*evaluate_condition(candidates, rule.where, asked_by))
        numbers = np.zeros(len(candidates), dtype=np.uint64)
        for name in (REQUEST_ID, USER_ID, ITEM_ID):
            column = read_column(candidates, name, asked_by)[rows]
            numbers[rows] = mix(numbers[rows] ^ hash_ids(column, name, rule.salt))
        return cls(rule.slots, rows, numbers, rule.among)


def mix(numbers: Numbers) -> Numbers:
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


def hash_ids(ids: Series, name: str, salt: str) -> Numbers:
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
