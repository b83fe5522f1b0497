"""Encodes a task's Arrow rows for LightGBM: numbers are unchanged, categories become codes."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tasks.columns import ITEM_ID, REQUEST_ID, USER_ID
from tasks.contracts.surface import Features
from tasks.errors import DataError
from tasks.evaluation.segments import spell_value
from tasks.ranking.features import FeatureEncoder

_LOG = logging.getLogger("equipoise")


def encode_dictionaries(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Encode text columns as dictionaries, which store each distinct value once.

    Examples
    --------
    >>> encode_dictionaries(pa.table({"aisle": ["tea", "jam", "tea"]}), ["aisle"]).column("aisle").type
    DictionaryType(dictionary<values=string, indices=int32, ordered=0>)
    """
    for name in names:
        column = table.column(name)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = column.dictionary_encode()
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
            table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def fit_encoder(table: pa.Table, features: Features) -> FeatureEncoder:
    """Learn the categories of training rows.

    Examples
    --------
    >>> rows = pa.table({"price": [2.5, 3.0], "aisle": ["tea", "jam"]})
    >>> fit_encoder(rows, Features(numeric=("price",), categorical=("aisle",))).categories
    {'aisle': ('jam', 'tea')}
    """
    for name in features.categorical:
        _warn_of_rounded(table.column(name), name)
    seen = table.select(list(features.categorical)).to_pandas()
    return replace(FeatureEncoder.fit(seen, (), features.categorical), numeric=features.numeric)


def _warn_of_rounded(column: pa.ChunkedArray, name: str) -> None:
    """Warn of integers that become the same category when a null turns the column into floats."""
    if pa.types.is_integer(column.type):
        values = pc.unique(column).drop_null().to_pylist()
        if (known := len(set(map(spell_value, values)))) < len(values):
            _LOG.warning(
                "train: '%s' holds %d whole numbers, and next to a null only %d are distinct, which are its "
                "categories: write those beyond 2^53 as text",
                *(name, len(values), known),
            )


def encode(encoder: FeatureEncoder, table: pa.Table) -> pa.Table:
    """Return the rows' features as Arrow columns for LightGBM; numeric columns are not copied.

    Examples
    --------
    >>> rows = pa.table({"price": [2.5, 3.0], "aisle": ["tea", "jam"]})
    >>> encode(FeatureEncoder(("price",), {"aisle": ("jam", "tea")}), rows).to_pydict()
    {'price': [2.5, 3.0], 'aisle': [1.0, 0.0]}
    """
    (encoded,) = encode_pieces(encoder, [table])
    return encoded


def encode_pieces(encoder: FeatureEncoder, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Encode tables one by one; at the end refuse infinite numbers, counted over all tables.

    Examples
    --------
    >>> pieces = [pa.table({"price": [2.5]}), pa.table({"price": [3.0]})]
    >>> [piece.to_pydict() for piece in encode_pieces(FeatureEncoder(("price",), {}), pieces)]
    [{'price': [2.5]}, {'price': [3.0]}]
    """
    rows, infinite, first = 0, Counter[str](), dict[str, str]()
    for piece in pieces:
        numeric = [_check_numbers(piece, name) for name in encoder.numeric]
        for name, column in zip(encoder.numeric, numeric, strict=True):
            if pa.types.is_floating(column.type) and (found := pc.sum(pc.is_inf(column)).as_py()):
                infinite[name] += found
                first.setdefault(name, _name_first(piece, pc.index(pc.is_inf(column), True).as_py()))
        rows += len(piece)
        codes = [_encode_categories(encoder, piece.column(name), name) for name in encoder.categorical]
        yield pa.table([*numeric, *codes], names=list(encoder.names))
    for name in encoder.numeric:
        if count := infinite[name]:
            raise DataError(
                f"Feature '{name}' is infinite in {count} of {rows} rows, first in {first[name]}."
            )


def _name_first(table: pa.Table, row: int) -> str:
    keys = (key for key in (REQUEST_ID, ITEM_ID, USER_ID) if key in table.column_names)
    return ", ".join(f"{key} {table.column(key)[row].as_py()}" for key in keys)


def _check_numbers(table: pa.Table, name: str) -> pa.ChunkedArray:
    column = table.column(name)
    kind = column.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(f"Feature '{name}' holds {kind}, and trees need numbers; declare it as categorical.")
    return column


def _encode_categories(encoder: FeatureEncoder, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Encode each distinct value once; nulls and unknown values are null."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    known = FeatureEncoder((), {name: encoder.categories[name]})
    chunks = []
    for chunk in encoded.unify_dictionaries().chunks:
        codes = known.matrix(pd.DataFrame({name: chunk.dictionary.to_pandas()}))[:, 0]
        chunks.append(pa.array(codes, pa.float32(), from_pandas=True).take(chunk.indices))
    return pa.chunked_array(chunks, pa.float32())
