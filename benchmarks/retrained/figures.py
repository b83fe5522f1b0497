"""What a retrain left behind, as one flat mapping of figures: name -> value.

::

    logs/<table>, labels                rows and a digest of them, read from the files
    part/<part>/<file>                  sha256 of each file of each version that the release pins
    release/<file>, release/code        sha256 of the release's own files, and one of the code in it
    said/...                            what `release show --json` says: snapshot, digests, metrics
    verdict, reason/..., gate/...       what `retrain --json` says

Bytes are read from the home itself: MLflow's client gives the versions, the home's folder their files. What
differs from run to run (ids of MLflow's runs, paths) is no figure.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import mlflow
from deltalake import DeltaTable

from benchmarks.retrained.trees import printed
from tasks.evaluation.subjects import Segment

Figures = dict[str, str]

_PIN: Final = "component."
_ARTIFACTS: Final = "/mlflow/artifacts/"
_LOADED: Final = frozenset({"registered_model_meta", "__pycache__"})
_CODE: Final = re.compile(r"^code/[^/]+/|^model\.py$")
_OF_A_RUN: Final = frozenset({"evidence", "dossier", "run_id", "pins", "aliases"})
"""Keys of the printed JSON that name a run, a path or what is moved later."""


def figures(homes: Path, surface: str) -> Figures:
    """Return every figure of a surface's first release, below a folder of homes."""
    home, said = homes / surface, printed(homes, surface, "release")
    made = printed(homes, surface, "retrain")
    return {
        **_tables(home, surface),
        **dict(_parts(home, surface)),
        **dict(_flat("said", said)),
        **dict(_judged(made)),
    }


def _tables(home: Path, surface: str) -> Figures:
    """Digest the log tables and the newest labels, whatever the order of their rows."""
    logs = home / "logs" / surface
    files: dict[str, list[str]] = {}
    for file in sorted(logs.rglob("*.parquet")):
        table = file.relative_to(logs).parts[0].removesuffix(".parquet")
        files.setdefault(f"logs/{table}", []).append(str(file))
    with duckdb.connect() as connection:
        found = {table: _rows_digest(connection.read_parquet(of)) for table, of in files.items()}
        labels = DeltaTable(home / "labels" / surface).to_pyarrow_dataset()
        return found | {"labels": _rows_digest(connection.from_arrow(labels))}


def _rows_digest(rows: duckdb.DuckDBPyRelation) -> str:
    """Return the count of rows and the sum of their hashes, with names and types of the columns."""
    columns = sorted(zip(rows.columns, map(str, rows.types), strict=True))
    names = ", ".join(f'"{name}"' for name, _ in columns)
    count, total = rows.aggregate(f"count(*), sum(hash({names})::HUGEINT)").fetchall()[0]
    return f"{count} rows {_sha256(f'{columns} {total}'.encode())}"


def _parts(home: Path, surface: str) -> Iterator[tuple[str, str]]:
    """Yield the digests of the release's files and of those of every version that it pins."""
    uri = f"sqlite:///{home.absolute() / 'mlflow' / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri, uri)
    release = client.get_model_version(f"{surface}.release", "1")
    code = {}
    for path, digest in _files(client, home, release):
        if _CODE.search(path):
            code[_CODE.sub("", path) or path] = digest
        else:
            yield f"release/{path}", digest
    yield "release/code", _sha256(str(sorted(code.items())).encode())
    for tag, version in sorted(release.tags.items()):
        if tag.startswith(_PIN):
            name = tag.removeprefix(_PIN)
            for path, digest in _files(client, home, client.get_model_version(name, version)):
                yield f"part/{name.removeprefix(f'{surface}.')}/{path}", digest


def _files(client: mlflow.MlflowClient, home: Path, version: Any) -> Iterator[tuple[str, str]]:
    """Yield path and sha256 of a version's files; a home that was copied is read where it lies now."""
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    folder = home / "mlflow" / "artifacts" / model.artifact_location.rpartition(_ARTIFACTS)[2]
    files = {file.relative_to(folder): file for file in sorted(folder.rglob("*")) if file.is_file()}
    if not files:
        raise SystemExit(f"{version.name} version {version.version} has no files in {folder}")
    for path, file in files.items():
        if _LOADED.isdisjoint(path.parts):
            yield path.as_posix(), _sha256(file.read_bytes())


def _judged(made: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "verdict", made["verdict"]
    for number, reason in enumerate(made["reasons"]):
        yield f"reason/{number}", reason
    for gate in made["gates"]:
        known = dict(gate)
        subject = " ".join(known.pop("subject").values())
        segment = Segment(**known.pop("segment"))
        name = f"{known.pop('gate')}/{subject}/{segment}"
        yield from _flat(f"gate/{name}", known)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the leaves of plain JSON; a number keeps all of its digits.

    Examples
    --------
    >>> dict(_flat("said", {"auc": {"value": 0.7, "n": 3}, "run_id": "a1"}))
    {'said/auc/value': '0.7', 'said/auc/n': '3'}
    """
    if isinstance(value, Mapping):
        for key, below in value.items():
            if key not in _OF_A_RUN:
                yield from _flat(f"{name}/{key}", below)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from _flat(f"{name}/{number}", below)
    else:
        yield name, str(value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
