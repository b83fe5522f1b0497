"""Registered parts: task models, calibrators, policies and releases, each version known by its bytes.

::

    <surface>.task.<task>         LightGBM text, with its encoder     loads as MLflow's lightgbm flavour
    <surface>.calibrator.<task>   JSON                                a logged model without a flavour
    <surface>.utility_policy, <surface>.slate_policy, <surface>.release

A version carries the sha256 of its files, compared whenever they are fetched. The same bytes from the same
inputs are registered once: a step that was killed and runs again finds its own version, or makes it.
"""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import mlflow.artifacts
import mlflow.lightgbm
from lightgbm import Booster
from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from tasks.errors import ContractError, StoreError, unknown
from tasks.release.manifest import sha256, tree_digest
from tasks.stores.runs import INPUTS, StepRun
from tasks.stores.tracking import PatientClient, connect, exclusive, patient

SHA256: Final = "sha256"
BOOSTER: Final = "model.lgb"
_CACHES: Final = ("registered_model_meta", "__pycache__")  # MLflow and Python leave these on loading


@dataclass(frozen=True)
class Part:
    """One version of a registered model; ``sha256`` covers all of its files."""

    name: str
    version: int
    sha256: str


def folder_sha256(folder: Path) -> str:
    """Digest a folder's files by relative path; what loading leaves behind does not count."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = ((path.relative_to(folder), path) for path in files)
    return tree_digest({r.as_posix(): sha256(p.read_bytes()) for r, p in named if not _is_cache(r)})
