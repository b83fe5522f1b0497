"""A release folder and its code as an MLflow pyfunc whose bytes depend on its contents alone.

MLflow writes the time, a random id and this machine's paths into ``MLmodel``. They are replaced by the as-of
and the manifest's digest, so the same inputs give the same release, byte for byte, whenever it is made.
"""

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
from mlflow.models import Model, ModelSignature

from tasks.release.staging import SCRIPT, StagedCode, requirements, stage_code
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
    source: Path | None = None,
) -> PackagedRelease:
    """Close a release: stage its code, list every file in the manifest, save it as a pyfunc.

    Parameters
    ----------
    files : the release folder's files by path, without the manifest.
    manifest : what is known of the release; its ``files`` and ``code`` are set here.
    signature : columns that ``predict`` takes and gives.
    numbers : the columns in which it takes no truth values.
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
        saved = _save(Path(scratch) / "model", folder, staged, closed, signature, config)
        return PackagedRelease(_read(saved), closed)


def _save(
    into: Path,
    folder: Path,
    staged: StagedCode,
    manifest: Manifest,
    signature: ModelSignature,
    config: Mapping[str, object],
) -> Path:
    identity = Model(utc_time_created=manifest.as_of, model_uuid=manifest.digest[:32])
    with warnings.catch_warnings():
        # an example would be a copy of somebody's impressions
        warnings.filterwarnings("ignore", message=".*input example was not provided", category=UserWarning)
        mlflow.pyfunc.save_model(
            str(into),
            python_model=str(SCRIPT),
            code_paths=[str(staged.folder)],
            artifacts={RELEASE: str(folder)},
            model_config=dict(config),
            pip_requirements=requirements(),
            signature=signature,
            mlflow_model=identity,
            uv_project_path=None,
        )
    _forget_this_machine(into / "MLmodel")
    return into


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
