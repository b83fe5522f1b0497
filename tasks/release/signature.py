"""The columns that a release takes and gives, as MLflow's signature, typed as the label store types them."""

from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from tasks.columns import CERTIFICATE

_KINDS = {"b": DataType.boolean, "i": DataType.long, "u": DataType.long, "f": DataType.double}

_PARAMS = ParamSchema([ParamSpec(CERTIFICATE, DataType.boolean, default=False)])
"""What a caller may ask for: certificates of the slates."""


def release_signature(candidates: pd.DataFrame, scored: pd.DataFrame) -> ModelSignature:
    """Describe scoring by its input and output frames.

    A column of integers without nulls is ``long``, as in the table that it came from; what holds nulls is
    ``double``. A null is legal in every column but the key.
    """
    return ModelSignature(inputs=_schema(candidates), outputs=_schema(scored), params=_PARAMS)


def _schema(frame: pd.DataFrame) -> Schema:
    return Schema([ColSpec(_type(frame[name]), str(name)) for name in frame.columns])


def _type(values: "pd.Series[Any]") -> DataType:
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return DataType.datetime
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return DataType.boolean
    return _KINDS.get(values.dtype.kind, DataType.string)
