"""The same inputs make the same release, byte for byte; the manifest lists all that is the release's own."""

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

from tasks.errors import StoreError
from tasks.release.packaging import (
    SCRIPT,
    package_release,
    release_signature,
    requirements,
    stage_code,
    travelling,
    typical_request,
)
from tasks.stores.files import sha256, write_files
from tasks.stores.manifest import MANIFEST, ROOT, Manifest

SIGNATURE = ModelSignature(inputs=Schema([ColSpec("double", "x")]))
FILES = {"weight.json": b"1.0", "models/click_30m.txt": b"tree"}


def test_the_same_inputs_make_the_same_bytes(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = package_release(FILES, manifest, signature=SIGNATURE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert package_release(FILES, manifest, signature=SIGNATURE) == one


def test_the_manifest_lists_every_file_but_itself_and_mlflow_s_own(manifest: Manifest) -> None:
    packaged, closed = package_release(FILES, manifest, signature=SIGNATURE)
    listed = {f"{ROOT}/{path}" for path in closed.files} | set(closed.code)
    own = {f"{ROOT}/{MANIFEST}", "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    assert listed | own == set(packaged)
    for path, digest in closed.files.items():
        assert digest == sha256(packaged[f"{ROOT}/{path}"])
    for path, digest in closed.code.items():
        assert digest == sha256(packaged[path])


def test_an_example_travels_as_a_server_takes_it(manifest: Manifest) -> None:
    example = pd.DataFrame({"x": [1.5, 2.0]})
    packaged, _ = package_release(FILES, manifest, signature=SIGNATURE, example=example)
    sent = json.loads(packaged["serving_input_example.json"])
    assert sent == {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2.0]]}}


def test_the_configuration_holds_the_manifest_s_digest(manifest: Manifest) -> None:
    packaged, _ = package_release(FILES, manifest, signature=SIGNATURE)
    flavour = yaml.safe_load(packaged["MLmodel"])["flavors"]["python_function"]
    assert flavour["config"]["manifest_sha256"] == sha256(packaged[f"{ROOT}/{MANIFEST}"])
    assert f"code/{flavour['config']['package']}/ranking/scoring.py" in packaged


def test_no_path_of_this_machine_and_no_pickle_is_in_it(manifest: Manifest) -> None:
    packaged, _ = package_release(FILES, manifest, signature=SIGNATURE)
    assert tempfile.gettempdir() not in packaged["MLmodel"].decode()
    assert str(Path.cwd()) not in packaged["MLmodel"].decode()
    assert not [path for path in packaged if path.endswith((".pkl", ".pickle"))]


def test_other_code_makes_another_release(make_release: Callable[..., Path]) -> None:
    one, two = make_release("one", factor=1), make_release("two", factor=2)
    assert (one / ROOT / MANIFEST).read_bytes() != (two / ROOT / MANIFEST).read_bytes()


ALLOWED = {"numpy", "pandas", "lightgbm", "pydantic", *sys.stdlib_module_names}


def imports(source: bytes) -> tuple[set[str], set[tuple[int, str]]]:
    """Return the packages that a module imports absolutely, and its relative imports as (level, module)."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    plain |= {node.module or "" for node in named if node.level == 0}
    return {name.split(".")[0] for name in plain}, {(n.level, n.module or "") for n in named if n.level}


def test_the_package_is_named_by_its_content(tmp_path: Path) -> None:
    one, two = stage_code(tmp_path / "one"), stage_code(tmp_path / "two")
    assert one[0].name == two[0].name
    assert one[1] == two[1]


def test_one_changed_byte_changes_the_name(tmp_path: Path) -> None:
    source = tmp_path / "tasks"
    write_files(source, travelling())
    same, _ = stage_code(tmp_path / "same", source=source)
    (source / "columns.py").write_bytes(travelling()["columns.py"] + b"\n")
    assert same.name == stage_code(tmp_path / "here")[0].name
    assert same.name != stage_code(tmp_path / "changed", source=source)[0].name


def test_every_staged_file_and_the_script_have_a_digest(tmp_path: Path) -> None:
    package, digests = stage_code(tmp_path)
    files = {f"code/{package.name}/{p.relative_to(package).as_posix()}" for p in package.rglob("*.py")}
    assert set(digests) == files | {"model.py"}


@pytest.mark.parametrize("path", sorted(travelling()))
def test_a_staged_module_needs_only_what_scoring_needs(path: str) -> None:
    absolute, relative = imports(travelling()[path])
    assert absolute <= ALLOWED
    depth = len(Path(path).parts)
    for level, module in relative:
        assert level <= depth, f"{path} reaches out of the package"
        folder = Path(path).parents[level - 1]
        target = (folder / module.replace(".", "/")).as_posix()
        assert {f"{target}.py", f"{target}/__init__.py"} & set(travelling()), f"{path}: {module} stays behind"


def test_the_script_imports_nothing_of_this_repository() -> None:
    absolute, relative = imports(SCRIPT.read_bytes())
    assert absolute <= ALLOWED | {"mlflow"}
    assert not relative


def test_the_staged_package_imports_alone(tmp_path: Path) -> None:
    package, _ = stage_code(tmp_path)
    scoring = f"{package.name}.ranking.scoring"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {scoring}; {scoring}.Scorer"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_an_installation_without_a_travelling_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No columns\.py in .*install it again"):
        stage_code(tmp_path / "into", source=tmp_path)


def test_requirements_are_pinned_exactly() -> None:
    assert [line.split("==")[0] for line in requirements()] == [
        "lightgbm",
        "mlflow",
        "numpy",
        "pandas",
        "pydantic",
    ]


FRAME = pd.DataFrame(
    {
        "request_id": ["r", "r"],
        "item_id": [1, 2],
        "price": [1.5, None],
        "source": pd.Categorical(["a", "b"]),
        "permitted": [True, None],
        "seen": [True, False],
        "rank": pd.array([1, None], dtype="Int32"),
        "shown_at": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True),
        "permissions": [None, ["read"]],
    }
)


def test_columns_keep_their_order_and_get_the_table_s_types() -> None:
    schema = release_signature(FRAME, FRAME[["request_id"]]).inputs
    assert dict(zip(schema.input_names(), map(str, schema.input_types()), strict=True)) == {
        "request_id": "DataType.string",
        "item_id": "Any",
        "price": "Any",
        "source": "DataType.string",
        "permitted": "Any",
        "seen": "Any",
        "rank": "Any",
        "shown_at": "Any",
        "permissions": "Any",
    }


def test_what_mlflow_would_cast_with_loss_reaches_the_release_as_it_was_sent() -> None:
    schema = release_signature(FRAME, FRAME[["request_id"]]).inputs
    sent = {
        "request_id": "r",
        "item_id": 1.5,
        "price": "2",
        "source": "a",
        "permitted": None,
        "seen": "false",
    }
    others = {"rank": None, "shown_at": "2026-01-01T02:00:00+02:00", "permissions": ["read", "sign"]}
    read = dataframe_from_parsed_json([sent | others], "records", schema=schema)
    assert (read["item_id"][0], read["seen"][0], read["price"][0]) == (1.5, "false", "2")
    assert read["shown_at"][0] == "2026-01-01T02:00:00+02:00"
    assert read["permissions"][0] == ["read", "sign"]
    assert read[["permitted", "rank"]].isna().all(axis=None)


def test_an_answer_says_by_what_it_was_scored() -> None:
    outputs = release_signature(FRAME, FRAME[["request_id", "rank"]]).outputs
    assert outputs.input_names() == ["request_id", "rank", "release", "model_version", "calibration_version"]


def test_an_empty_table_has_a_signature_too() -> None:
    signature = release_signature(FRAME.head(0), FRAME.head(0))
    assert len(signature.inputs.inputs) == len(FRAME.columns)
    assert len(signature.outputs.inputs) == len(FRAME.columns) + 3


def test_an_example_has_usual_values_and_shows_nobody_s_row() -> None:
    rows = 50
    frame = pd.DataFrame(
        {
            "request_id": [f"r{row}" for row in range(rows)],
            "user_id": range(700, 700 + rows),
            "item_id": [f"i{row}" for row in range(rows)],
            "price": [float(row) for row in range(rows - 1)] + [None],
            "clicks": [0] * 30 + [9] * 20,
            "source": ["feed"] * 20 + ["search"] * 30,
            "note": [f"of user {row}" for row in range(rows)],
            "permitted": [True] * 40 + [None] * 10,
            "permissions": [["read", "sign"]] * 30 + [[]] * 20,
            "shown_at": pd.Timestamp("2026-01-01T08:15:31", tz="UTC"),
        }
    )
    example = typical_request(frame)
    assert [*example.columns] == [*frame.columns]
    assert example.iloc[1].to_dict() == {
        "request_id": "request-1",
        "user_id": 1,
        "item_id": "item-2",
        "price": 24.0,
        "clicks": 0,
        "source": "search",
        "note": None,
        "permitted": True,
        "permissions": ["read", "sign"],
        "shown_at": pd.Timestamp("2026-01-01", tz="UTC"),
    }
    assert typical_request(frame.head(0)).shape == (2, 10)
