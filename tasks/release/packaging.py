"""A release folder and its code as an MLflow pyfunc whose bytes depend on its contents alone.

MLflow writes the time, a random id and this machine's paths into ``MLmodel``. They are replaced by the as-of
and the manifest's digest, so the same inputs give the same release, byte for byte, whenever it is made.
"""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature

from tasks.release.staging import SCRIPT, requirements, stage_code
from tasks.stores.files import sha256
from tasks.stores.manifest import MANIFEST, RELEASE, ROOT, Manifest


@dataclass(frozen=True)
class PackagedRelease:
    """The model's files by path, and the manifest that lists them."""

    files: Mapping[str, bytes]
    manifest: Manifest


def package_release(
    files: Mapping[str, bytes],
    manifest: Manifest,
    *,
    signature: ModelSignature,
    numbers: Sequence[str] = (),
    example: pd.DataFrame | None = None,
    source: Path | None = None,
) -> PackagedRelease:
    """Close a release: stage its code, list every file in the manifest, save it as a pyfunc.

    Parameters
    ----------
    files : the release folder's files by path, without the manifest.
    manifest : what is known of the release; its ``files`` and ``code`` are set here.
    signature : columns that ``predict`` takes and gives.
    numbers : the columns in which it takes no truth values.
    example : a request that people can send; nobody's own, since every reader of the registry sees it.
    source : the ``tasks`` folder whose code travels; the running one by default.
    """
    with tempfile.TemporaryDirectory(prefix="equipoise-release-") as scratch:
        staged = stage_code(Path(scratch) / "code", **({"source": source} if source else {}))
        digests = {path: sha256(data) for path, data in files.items()}
        closed = replace(manifest, files=digests, code=staged.digests)
        folder = Path(scratch) / RELEASE
        for path, data in {**files, MANIFEST: closed.to_bytes()}.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        config = {"manifest_sha256": closed.digest, "package": staged.package, "numbers": list(numbers)}
        saved = Path(scratch) / "model"
        _save(
            saved,
            identity=Model(utc_time_created=closed.as_of, model_uuid=closed.digest[:32]),
            code_paths=[str(staged.folder)],
            artifacts={RELEASE: str(folder)},
            model_config=config,
            signature=signature,
            input_example=example,
        )
        return PackagedRelease(_read(saved), closed)


def _save(into: Path, *, identity: Model, **given: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
        mlflow.pyfunc.save_model(
            str(into),
            python_model=str(SCRIPT),
            pip_requirements=requirements(),
            mlflow_model=identity,
            uv_project_path=None,
            **given,
        )
    _forget_this_machine(into / "MLmodel")


def _forget_this_machine(path: Path) -> None:
    """Replace the paths of this machine by those inside the model; loading reads only the latter."""
    model = Model.load(str(path))
    flavour = model.flavors["python_function"]
    flavour["model_code_path"] = SCRIPT.name
    flavour["artifacts"][RELEASE]["uri"] = ROOT
    model.save(str(path))


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
