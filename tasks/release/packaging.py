"""Packages a release folder and its code as an MLflow pyfunc with reproducible bytes.

MLflow writes the time, a random id and local paths into ``MLmodel``. They are replaced by the as-of and the
manifest's digest, so the same inputs always give the same release, byte for byte.

The code is staged as a package that is named by its content::

    tasks/columns.py, errors.py          equipoise_release_<sha12>/columns.py, errors.py
    tasks/contracts/{base,slate,utility}.py   .../contracts/...: the policy models
    tasks/evaluation/segments.py    ->   .../evaluation/segments.py
    tasks/ranking/*.py                   .../ranking/*.py

Python imports only the first of two packages with the same name. Because packages are named by content, the
same name means the same code. The staged modules import each other relatively and otherwise only numpy,
pandas, lightgbm, pydantic and the standard library, which is all that scoring needs.

MLflow's signature describes the input and output columns, with the types of the label store.
"""

import importlib.metadata
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

from tasks import columns as c
from tasks.errors import StoreError
from tasks.stores.files import sha256, tree_digest, write_files
from tasks.stores.manifest import MANIFEST, RELEASE, ROOT, Manifest

_KINDS = {"b": DataType.boolean, "i": DataType.long, "u": DataType.long, "f": DataType.double}
_CAST_WITH_LOSS = (DataType.boolean, DataType.long, DataType.double, DataType.datetime)

_PARAMS = ParamSchema(
    [ParamSpec(name, DataType.boolean, default=False) for name in (c.CERTIFICATE, "components")]
)
"""Optional outputs: certificates of the slates and components of the utilities."""
_BOOSTS = ParamSpec("exposure_boosts", DataType.string, default="")
"""Group boosts, from the model's tag of that name, if the slate policy has exposure targets."""

_PROVENANCE = (
    ColSpec(DataType.double, c.RELEASE),
    ColSpec(DataType.string, c.MODEL_VERSION),
    ColSpec(DataType.string, c.CALIBRATION_VERSION),
)
"""Columns that identify the release and the versions of its parts (``model.py``)."""

_FEWEST = 20
_EXAMPLE_KEYS = {c.REQUEST_ID: (1, 1), c.USER_ID: (1, 1), c.ITEM_ID: (1, 2)}


def release_signature(candidates: pd.DataFrame, scored: pd.DataFrame) -> ModelSignature:
    """Describe the input and output columns of scoring.

    Nulls are allowed in every column except the key. MLflow casts a column to its declared type before the
    release sees it: a missing boolean becomes false, so that a constraint that drops unsafe items keeps it,
    3.7 becomes 3, the text "3.5" becomes a number, and times with a zone are refused. Therefore booleans,
    numbers, times and lists are declared as any type, and the release itself refuses invalid values
    (`number_columns`).
    """
    given = [ColSpec(_sent(candidates[name]), str(name)) for name in candidates.columns]
    params = ParamSchema([*_PARAMS.params, *([_BOOSTS] if c.EXPOSURE_BOOST in scored else [])])
    outputs = [ColSpec(_answered(scored[name]), str(name)) for name in scored.columns]
    return ModelSignature(inputs=Schema(given), outputs=Schema([*outputs, *_PROVENANCE]), params=params)


def number_columns(candidates: pd.DataFrame) -> list[str]:
    """Return the numeric columns, in which the release refuses booleans."""
    return [str(name) for name in candidates.columns if candidates[name].dtype.kind in "iuf"]


def typical_request(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return a request of two candidates with typical values that belong to no user.

    Numbers and days are medians. Other columns hold their most frequent value, or null if fewer than 20 rows
    share it.
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
    """Return a nullable type: Spark casts to the declared type, and its integers here have no nulls."""
    kind = _type(values)
    return DataType.double if kind == DataType.long else kind


def _type(values: "pd.Series[Any]") -> DataType:
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return DataType.datetime
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return DataType.boolean
    return _KINDS.get(values.dtype.kind, DataType.string)


PREFIX: Final = "equipoise_release_"
SCRIPT: Final = Path(__file__).with_name("model.py")
STAGED: Final = (
    "columns.py",
    "errors.py",
    "contracts/base.py",
    "contracts/slate.py",
    "contracts/utility.py",
    "evaluation/segments.py",
    "ranking/*.py",
)
RUNTIME: Final = ("lightgbm", "mlflow", "numpy", "pandas", "pydantic")
_INIT: Final = b'"""Code that a release brought with it."""\n'


def stage_code(into: Path, *, source: Path = SCRIPT.parents[1]) -> tuple[Path, dict[str, str]]:
    """Copy the modules that a release needs from ``source`` (a ``tasks`` folder) to ``into/<package>``.

    Returns
    -------
    The package's folder, and the sha256 of every file of code, by path in the model.
    """
    sources = travelling(source)
    digests = {path: sha256(data) for path, data in sources.items()}
    package = f"{PREFIX}{tree_digest(digests)[:12]}"
    write_files(into / package, sources)
    code = {f"code/{package}/{path}": digest for path, digest in digests.items()}
    return into / package, {**code, SCRIPT.name: sha256(SCRIPT.read_bytes())}


def travelling(source: Path = SCRIPT.parents[1]) -> dict[str, bytes]:
    """Return the staged modules' bytes by path in the package; each folder gets an empty ``__init__``."""
    found: dict[str, bytes] = {}
    for pattern in STAGED:
        paths = [path for path in source.glob(pattern) if path.name != "__init__.py"]
        if not paths:
            raise StoreError(f"No {pattern} in {source}: this installation is incomplete, install it again.")
        found.update({path.relative_to(source).as_posix(): path.read_bytes() for path in paths})
    folders = {Path(path).parent for path in found} | {Path()}
    found.update({(folder / "__init__.py").as_posix(): _INIT for folder in folders})
    return dict(sorted(found.items()))


def requirements() -> list[str]:
    """Pin the requirements of scoring to the installed versions."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in RUNTIME]


def package_release(
    files: Mapping[str, bytes],
    manifest: Manifest,
    *,
    signature: ModelSignature,
    numbers: Sequence[str] = (),
    example: pd.DataFrame | None = None,
    source: Path = SCRIPT.parents[1],
) -> tuple[dict[str, bytes], Manifest]:
    """Package a release: stage its code, list every file in the manifest, save it as a pyfunc.

    Parameters
    ----------
    files : the release folder's files by path, without the manifest.
    manifest : the release's manifest, whose ``files`` and ``code`` are set here.
    signature : input and output columns of ``predict``.
    numbers : columns in which booleans are refused.
    example : an input example without user data, since every reader of the registry sees it.
    source : the ``tasks`` folder to stage; by default the running one.

    Returns
    -------
    The model's files by path, and the manifest that lists them.
    """
    with tempfile.TemporaryDirectory(prefix="equipoise-release-") as scratch:
        package, code = stage_code(Path(scratch) / "code", source=source)
        digests = {path: sha256(data) for path, data in files.items()}
        closed = replace(manifest, files=digests, code=code)
        folder = Path(scratch) / RELEASE
        write_files(folder, {**files, MANIFEST: closed.to_bytes()})
        config = {"manifest_sha256": closed.digest, "package": package.name, "numbers": list(numbers)}
        saved = Path(scratch) / "model"
        with warnings.catch_warnings():
            lacking = ".*input example was not provided"
            warnings.filterwarnings("ignore", message=lacking, category=UserWarning)
            mlflow.pyfunc.save_model(
                str(saved),
                python_model=str(SCRIPT),
                pip_requirements=requirements(),
                mlflow_model=Model(utc_time_created=closed.as_of, model_uuid=closed.digest[:32]),
                uv_project_path=None,
                code_paths=[str(package)],
                artifacts={RELEASE: str(folder)},
                model_config=config,
                signature=signature,
                input_example=example,
            )
        # local paths become paths inside the model; loading reads only the latter
        model = Model.load(str(saved / "MLmodel"))
        flavour = model.flavors["python_function"]
        flavour["model_code_path"], flavour["artifacts"][RELEASE]["uri"] = SCRIPT.name, ROOT
        model.save(str(saved / "MLmodel"))
        return _read(saved), closed


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
