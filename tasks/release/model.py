"""MLflow's loading script of a release: it verifies every byte, then runs the release's own code.

::

    model.py                       this file, logged as the model's script (models from code)
    code/equipoise_release_<sha>/  the release's own scoring code, named by its content
    artifacts/release/             manifest.json and every file that it lists
    registered_model_meta          written by MLflow after a download: the registered version

The script is deployed without this repository and does not import it, unless EQUIPOISE_REQUIRE_VERIFIED is
set: then the installed program checks these bytes against the audit. ``load_context`` reads each file once
and compares its sha256 with the manifest, whose own sha256 is in the model's configuration. Code is compiled
from the compared bytes, never from a cached ``.pyc`` or ``sys.path``. Therefore two releases with different
code can be loaded in one process, and only verified code runs.
"""

import copy
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

MANIFEST = "manifest.json"
REGISTERED = "registered_model_meta"
ON_REQUEST = ("certificate", "components")
PREFIX = "equipoise_release_"
REQUIRE_VERIFIED = "EQUIPOISE_REQUIRE_VERIFIED"
VOUCHING = "tasks.release.vouching"
MAX_ROWS = "EQUIPOISE_MAX_ROWS"
MOST_ROWS = 100_000


class ReleaseRefused(RuntimeError):
    """The release's bytes differ from the registered ones; none of its code was run."""


class TooManyRows(MlflowException):
    """One call has more candidates than `MAX_ROWS`; a server returns status 413."""

    def get_http_status_code(self) -> int:
        """Return the HTTP status."""
        return 413


class ReleaseModel(PythonModel):
    """A release as a pyfunc: ``predict`` takes candidates and returns them scored, ranked and slated."""

    def load_context(self, context: PythonModelContext) -> None:
        """Check all artifacts and code, then load the scorer from the checked bytes."""
        package, manifest_sha256 = _configured(context.model_config)
        self.numbers = (context.model_config or {}).get("numbers", [])
        self.max_rows = _max_rows()
        files, code = _checked(Path(context.artifacts["release"]), Path(__file__).parent, manifest_sha256)
        manifest = json.loads((Path(context.artifacts["release"]) / MANIFEST).read_bytes())
        _require_vouched(Path(__file__).parent, manifest["surface"])
        scoring = _import(package, _modules(package, code))
        self.scorer: Any = scoring.Scorer.from_files(files)
        self.provenance = _provenance(manifest["parts"], Path(__file__).with_name(REGISTERED))

    def predict(
        self, context: object, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score one row per candidate; ``request_id`` groups the candidates of a request.

        Each row has the columns ``release`` (null if not downloaded from a registry), ``model_version`` and
        ``calibration_version`` (JSON by task). Columns hold nulls instead of NaN, which JSON lacks.
        ``params={"certificate": True}`` adds to the first row of each request the rules that its slate meets.
        ``{"components": True}`` adds weights and contributions to each row. ``{"exposure_boosts": text}``
        boosts groups; ``text`` is the model's tag of that name.
        """
        _refuse_many(len(model_input), self.max_rows)
        _refuse_truth_values(model_input, self.numbers)
        asked = [name for name in ON_REQUEST if (params or {}).get(name)]
        try:
            boosts = (params or {}).get("exposure_boosts")
            scored = (self.boosted(boosts) if boosts else self).score(model_input, *asked)
        except Exception as error:
            if not type(error).__module__.startswith(PREFIX):
                raise
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error
        return _with_nulls(scored.assign(**self.provenance))

    def boosted(self, boosts: str) -> "ReleaseModel":
        """Return the release with the given group boosts, as JSON."""
        changed = copy.copy(self)
        changed.scorer = self.scorer.boosted(boosts)
        return changed

    def score(self, frame: pd.DataFrame, *asked: str) -> pd.DataFrame:
        """Score like ``predict``, with the scorer's own columns, types and errors."""
        scored: pd.DataFrame = self.scorer.score(frame, **dict.fromkeys(asked, True))
        return scored

    def explain(self, frame: pd.DataFrame, request_id: object) -> pd.DataFrame:
        """Return one request's candidates with their components, drop reasons and moves."""
        explained: pd.DataFrame = self.scorer.explain(frame, request_id)
        return explained


def _max_rows() -> int:
    """Return the maximum number of rows of one call."""
    text = os.environ.get(MAX_ROWS, "") or str(MOST_ROWS)
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ReleaseRefused(f"{MAX_ROWS} = '{text}' is not a number of rows. Write it as {MAX_ROWS}=100000")
    return int(text)


def _refuse_many(rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise TooManyRows(
            f"One call has {rows} candidates, and the most is {max_rows}. Send fewer, or raise {MAX_ROWS}",
            error_code=INVALID_PARAMETER_VALUE,
        )


def _refuse_truth_values(frame: pd.DataFrame, numbers: Iterable[str]) -> None:
    """Refuse booleans in numeric columns."""
    for name in numbers:
        if name in frame and pd.api.types.infer_dtype(frame[name], skipna=True) == "boolean":
            raise MlflowException(
                f"Column '{name}' holds truth values, and the release needs numbers.",
                error_code=INVALID_PARAMETER_VALUE,
            )


def _require_vouched(root: Path, surface: str) -> None:
    """Check the release against the audit if required; refuse it if the audit is not available."""
    if os.environ.get(REQUIRE_VERIFIED, "") in {"", "0"}:
        return
    try:
        unverified = importlib.import_module(VOUCHING).find_caveat(root, surface)
    except Exception as error:  # noqa: BLE001 - any error means that the release is not verified
        unverified = (
            f"The audit cannot be read ({type(error).__name__}: {error}). Load it in the environment of the "
            f"installed program, or unset the variable and run `equipoise release verify {surface} champion`"
        )
    if unverified:
        raise ReleaseRefused(f"This release was not loaded ({REQUIRE_VERIFIED}): {unverified}")


def _provenance(parts: Iterable[Mapping[str, Any]], registered: Path) -> dict[str, Any]:
    """Return the columns that identify the release and the versions of its parts."""
    versions: dict[str, dict[str, int]] = {"task": {}, "calibrator": {}}
    for part in parts:
        versions.get(part["role"], {})[str(part["task"])] = part["version"]
    text = registered.read_text(encoding="utf-8", errors="replace") if registered.is_file() else ""
    named = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    version = named.get("model_version", "").strip("\"' ")
    return {
        "release": int(version) if version.isdecimal() else None,
        "model_version": json.dumps(versions["task"]),
        "calibration_version": json.dumps(versions["calibrator"]),
    }


def _with_nulls(scored: pd.DataFrame) -> pd.DataFrame:
    """Convert columns with missing values to nullable types, because JSON has no NaN."""
    floats = {str(name): "Float64" for name, dtype in scored.dtypes.items() if dtype.kind == "f"}
    texts = [str(name) for name, dtype in scored.dtypes.items() if isinstance(dtype, pd.StringDtype)]
    known = {name: scored[name].astype(object).where(scored[name].notna(), None) for name in texts}
    return scored.assign(**known).astype({**floats, "release": "Int64"})


def _configured(config: Mapping[str, object] | None) -> tuple[str, str]:
    try:
        package, manifest_sha256 = (config or {})["package"], (config or {})["manifest_sha256"]
    except KeyError as error:
        raise ReleaseRefused(_message([f"MLmodel configures no {error.args[0]}"])) from None
    return str(package), str(manifest_sha256)


def _checked(release: Path, root: Path, manifest_sha256: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return release files and code by relative path; raise an error that names every wrong file."""
    files = _read(release)
    manifest = files.pop(MANIFEST, None)
    if manifest is None or _sha256(manifest) != manifest_sha256:
        found = "is missing" if manifest is None else f"has sha256 {_sha256(manifest)}"
        raise ReleaseRefused(_message([f"{MANIFEST} {found}, registered was {manifest_sha256}"]))
    pinned = json.loads(manifest)
    code = {f"code/{path}": data for path, data in _read(root / "code").items()}
    code["model.py"] = Path(__file__).read_bytes()
    problems = [*_differences(files, pinned["files"]), *_differences(code, pinned["code"])]
    if problems:
        raise ReleaseRefused(_message(problems))
    return files, code


def _read(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder, except Python's caches, which are never used; do not follow links."""
    return {
        path.relative_to(folder).as_posix(): b"a link" if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and "__pycache__" not in path.relative_to(folder).parts
    }


def _differences(found: Mapping[str, bytes], pinned: Mapping[str, str]) -> Iterable[str]:
    for path in sorted(found.keys() | pinned.keys()):
        if path not in found:
            yield f"{path} is missing"
        elif path not in pinned:
            yield f"{path} is not in the manifest"
        elif _sha256(found[path]) != pinned[path]:
            yield f"{path} has sha256 {_sha256(found[path])}, the manifest says {pinned[path]}"


def _message(problems: Sequence[str]) -> str:
    return (
        f"This release was not loaded, {len(problems)} of its files are wrong: {'; '.join(problems)}. "
        "Fetch it again and run `equipoise release verify`; if that reports the same, make the release again."
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _modules(package: str, code: Mapping[str, bytes]) -> dict[str, tuple[str, bytes]]:
    """Map module names to path and source; the package's name must match the digest of its content."""
    home = f"code/{package}/"
    sources = {path.removeprefix(home): data for path, data in code.items() if path.startswith(home)}
    lines = "".join(f"{path} {_sha256(data)}\n" for path, data in sorted(sources.items()))
    if package != f"{PREFIX}{_sha256(lines.encode())[:12]}":
        raise ReleaseRefused(_message([f"code/{package} is not named by the digest of its content"]))
    return {_module_name(package, path): (home + path, data) for path, data in sources.items()}


def _module_name(package: str, path: str) -> str:
    parts = [package, *path.removesuffix(".py").split("/")]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _import(package: str, modules: Mapping[str, tuple[str, bytes]]) -> ModuleType:
    """Import the release's scoring module; packages of the same name have the same content and are reused."""
    if package not in sys.modules:
        sys.meta_path.insert(0, CheckedCode(modules))
    return importlib.import_module(f"{package}.ranking.scoring")


class CheckedCode(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Imports modules from verified bytes, without reading the disk again."""

    def __init__(self, modules: Mapping[str, tuple[str, bytes]]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the release's own modules only."""
        if fullname not in self._modules:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=self.is_package(fullname))

    def is_package(self, fullname: str) -> bool:
        """Whether the module is a folder's ``__init__``."""
        return self._modules[fullname][0].endswith("/__init__.py")

    def get_filename(self, fullname: str) -> str:
        """Return the file name for tracebacks."""
        return self._modules[fullname][0]

    def get_source(self, fullname: str) -> str:
        """Return the verified source."""
        return self._modules[fullname][1].decode()


set_model(ReleaseModel())
