"""The same inputs make the same release, byte for byte; the manifest lists all that is the release's own."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from tasks.release.packaging import PackagedRelease, package_release
from tasks.stores.files import sha256
from tasks.stores.manifest import MANIFEST, ROOT, Manifest

SIGNATURE = ModelSignature(inputs=Schema([ColSpec("double", "x")]))
FILES = {"weight.json": b"1.0", "models/click_30m.txt": b"tree"}


def package(manifest: Manifest) -> PackagedRelease:
    return package_release(FILES, manifest, signature=SIGNATURE)


def test_the_same_inputs_make_the_same_bytes(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = package(manifest)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    two = package(manifest)
    assert one.files == two.files
    assert one.manifest == two.manifest


def test_the_manifest_lists_every_file_but_itself_and_mlflow_s_own(manifest: Manifest) -> None:
    packaged = package(manifest)
    listed = {f"{ROOT}/{path}" for path in packaged.manifest.files} | set(packaged.manifest.code)
    own = {f"{ROOT}/{MANIFEST}", "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    assert listed | own == set(packaged.files)
    for path, digest in packaged.manifest.files.items():
        assert digest == sha256(packaged.files[f"{ROOT}/{path}"])
    for path, digest in packaged.manifest.code.items():
        assert digest == sha256(packaged.files[path])


def test_an_example_travels_as_a_server_takes_it(manifest: Manifest) -> None:
    packaged = package_release(FILES, manifest, signature=SIGNATURE, example=pd.DataFrame({"x": [1.5, 2.0]}))
    sent = json.loads(packaged.files["serving_input_example.json"])
    assert sent == {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2.0]]}}


def test_the_configuration_holds_the_manifest_s_digest(manifest: Manifest) -> None:
    packaged = package(manifest)
    flavour = yaml.safe_load(packaged.files["MLmodel"])["flavors"]["python_function"]
    assert flavour["config"]["manifest_sha256"] == sha256(packaged.files[f"{ROOT}/{MANIFEST}"])
    assert f"code/{flavour['config']['package']}/ranking/scoring.py" in packaged.files


def test_no_path_of_this_machine_and_no_pickle_is_in_it(manifest: Manifest) -> None:
    packaged = package(manifest)
    assert tempfile.gettempdir() not in packaged.files["MLmodel"].decode()
    assert str(Path.cwd()) not in packaged.files["MLmodel"].decode()
    assert not [path for path in packaged.files if path.endswith((".pkl", ".pickle"))]


def test_other_code_makes_another_release(make_release: Callable[..., Path]) -> None:
    one, two = make_release("one", factor=1), make_release("two", factor=2)
    assert (one / ROOT / MANIFEST).read_bytes() != (two / ROOT / MANIFEST).read_bytes()
