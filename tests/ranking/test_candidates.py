from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import DataError
from tasks.ranking.candidates import CandidateSets


def frame(requests: Iterable[object], items: Iterable[object]) -> pd.DataFrame:
    return pd.DataFrame({"request_id": list(requests), "item_id": list(items)})


def test_rows_are_ordered_by_request_then_item() -> None:
    sets = CandidateSets.of(frame("srsr", "bbaa"))
    assert list(sets.request_ids) == ["s", "r"]
    assert list(sets.order) == [2, 0, 3, 1]
    rows, starts, counts = sets.ragged(np.array([True, False, True, True]))
    assert (list(rows), list(starts), list(counts)) == ([2, 0, 3], [0, 2], [2, 1])


def test_a_repeated_key_is_named_and_counted() -> None:
    with pytest.raises(DataError, match=r"repeated in 2 of 4 rows, for example r/a, r/a; keep one"):
        CandidateSets.of(frame("rrrs", "aaaa"))


@pytest.mark.parametrize("name", ["request_id", "item_id"])
def test_a_null_key_is_named_and_counted(name: str) -> None:
    keys = frame("rr", "ab")
    keys.loc[1, name] = None
    with pytest.raises(DataError, match=f"'{name}' is null in 1 of 2 rows"):
        CandidateSets.of(keys)


def test_a_missing_key_refuses_the_batch() -> None:
    with pytest.raises(DataError, match="Unknown column 'request_id'"):
        CandidateSets.of(frame("r", "a").drop(columns="request_id"))


def test_items_that_mix_strings_and_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="'item_id' mixes strings and numbers"):
        CandidateSets.of(frame("rr", ["a", 1]))


@pytest.mark.parametrize("kind", ["object", "str", "category", "string"])
def test_keys_of_every_text_type_give_the_same_order(
    kind: Literal["object", "str", "category", "string"],
) -> None:
    keys = frame("srsr", "bbaa").astype(kind)
    assert list(CandidateSets.of(keys).order) == [2, 0, 3, 1]


@given(st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2)), unique=True, min_size=1))
def test_items_of_a_request_are_ordered_by_code_point(keys: list[tuple[str, str]]) -> None:
    sets = CandidateSets.of(frame(*zip(*keys, strict=True)))
    ordered = [keys[row] for row in sets.order]
    for request in {key[0] for key in keys}:
        items = [item for r, item in ordered if r == request]
        assert items == sorted(items)
