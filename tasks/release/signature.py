"""The columns that a release takes and gives, as MLflow's signature, typed as the label store types them.

release_signature   names and types of the columns
number_columns      those that hold numbers
typical_request     an example of what to send
"""

from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from tasks.columns import (
    CALIBRATION_VERSION,
    CERTIFICATE,
    EXPOSURE_BOOST,
    ITEM_ID,
    MODEL_VERSION,
    RELEASE,
    REQUEST_ID,
    USER_ID,
)

_KINDS = {"b": DataType.boolean, "i": DataType.long, "u": DataType.long, "f": DataType.double}
_CAST_WITH_LOSS = (DataType.boolean, DataType.long, DataType.double, DataType.datetime)

_PARAMS = ParamSchema(
    [ParamSpec(name, DataType.boolean, default=False) for name in (CERTIFICATE, "components")]
)
"""What a caller may ask for: certificates of the slates, the components of the utilities."""
_BOOSTS = ParamSpec("exposure_boosts", DataType.string, default="")
"""What a caller gives of the model's tag of that name, where the slate policy aims at exposure."""

_PROVENANCE = (
    ColSpec(DataType.double, RELEASE),
    ColSpec(DataType.string, MODEL_VERSION),
    ColSpec(DataType.string, CALIBRATION_VERSION),
)
"""What each row says of by what it was scored (``model.py``)."""

_FEWEST = 20
_EXAMPLE_KEYS = {REQUEST_ID: (1, 1), USER_ID: (1, 1), ITEM_ID: (1, 2)}


def release_signature(candidates: pd.DataFrame, scored: pd.DataFrame) -> ModelSignature:
    """Describe scoring by its input and output frames.

    A null is legal in every column but the key. MLflow casts a served column to its declared type before
    the release sees it: an unknown truth value would become false, so that a constraint which drops what is
    unsafe keeps it, 3.7 would become 3, the text "3.5" a number, and a time with a zone is refused. So
    booleans, numbers, times and lists are declared as any type, and the release itself refuses what a column
    may not hold (`number_columns`).
    """
    given = [ColSpec(_sent(candidates[name]), str(name)) for name in candidates.columns]
    params = ParamSchema([*_PARAMS.params, *([_BOOSTS] if EXPOSURE_BOOST in scored else [])])
    outputs = [ColSpec(_answered(scored[name]), str(name)) for name in scored.columns]
    return ModelSignature(inputs=Schema(given), outputs=Schema([*outputs, *_PROVENANCE]), params=params)


def number_columns(candidates: pd.DataFrame) -> list[str]:
    """Return the columns that hold numbers, in which the release takes no truth values."""
    return [str(name) for name in candidates.columns if candidates[name].dtype.kind in "iuf"]


def typical_request(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return a request of two candidates with the most usual values, which are nobody's own.

    Numbers and days are medians. Any other column holds its most frequent value, or none where fewer than 20
    rows share it.
    """
    values = {str(name): [_usual(candidates[name])] * 2 for name in candidates.columns}
    for key, numbers in _EXAMPLE_KEYS.items():
        if key in values:
            is_number = candidates[key].dtype.kind in "iuf"
            values[key] = [number if is_number else f"{key[:-3]}-{number}" for number in numbers]
    return pd.DataFrame(values)


def _usual(values: "pd.Series[Any]") -> object:
    known, kind = values.dropna(), _type(values)
    if known.empty:
        return None
    if _holds_lists(values):
        lists = known.map(tuple).value_counts()
        return list(lists.index[0]) if lists.iloc[0] >= _FEWEST else None
    if kind in {DataType.string, DataType.boolean}:
        counts = known.value_counts()
        return counts.index[0] if counts.iloc[0] >= _FEWEST else None
    median: Any = known.quantile(0.5, interpolation="lower")
    return median.floor("D") if kind == DataType.datetime else median


def _sent(values: "pd.Series[Any]") -> DataType | AnyType:
    kind = _type(values)
    return AnyType() if kind in _CAST_WITH_LOSS or _holds_lists(values) else kind


def _holds_lists(values: "pd.Series[Any]") -> bool:
    return values.dtype == object and any(map(pd.api.types.is_list_like, values))


def _answered(values: "pd.Series[Any]") -> DataType:
    """Return a type that has nulls: Spark casts to what is declared here, and an integer of it has none."""
    kind = _type(values)
    return DataType.double if kind == DataType.long else kind


def _type(values: "pd.Series[Any]") -> DataType:
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return DataType.datetime
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return DataType.boolean
    return _KINDS.get(values.dtype.kind, DataType.string)
