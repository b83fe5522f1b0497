"""Boosters as the files of a registered model; a separate module because LightGBM imports scikit-learn."""

import importlib.metadata
import tempfile
from datetime import datetime
from pathlib import Path

import mlflow.lightgbm
from lightgbm import Booster
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, Schema

from tasks.stores.files import sha256


def booster_files(booster: Booster, as_of: datetime) -> dict[str, bytes]:
    """Save a booster as text in MLflow's lightgbm flavour.

    MLflow adds the time, a random id and a set in arbitrary order. They are replaced by the as-of, the
    model's digest and a sorted list, so every byte is deterministic.
    """
    columns = [ColSpec("double", name) for name in booster.feature_name()]
    identity = Model(utc_time_created=as_of, model_uuid=sha256(booster.model_to_string().encode())[:32])
    with tempfile.TemporaryDirectory(prefix="equipoise-part-") as parent:
        folder = Path(parent) / "model"
        mlflow.lightgbm.save_model(
            booster,
            str(folder),
            mlflow_model=identity,
            signature=ModelSignature(Schema(columns), Schema([ColSpec("double")])),
            pip_requirements=[f"lightgbm=={importlib.metadata.version('lightgbm')}"],
        )
        identity.flavors[mlflow.lightgbm.FLAVOR_NAME]["skops_trusted_types"].sort()
        identity.save(str(folder / MLMODEL_FILE_NAME))
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
