"""A release runs no byte that was not registered, whoever loads it."""

import py_compile
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest

from tasks import errors
from tasks.release.loading import load_release
from tests.release.alone import run_alone

Make = Callable[..., Path]
FRAME = pd.DataFrame({"request_id": ["r", "s"], "x": [1.0, 2.0]})

OWN_BYTES = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt")
"""What MLflow adds: outside the manifest, so only the digest of the whole version covers them."""


def files_of(release: Path) -> list[str]:
    return sorted(p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file())


def test_plain_mlflow_loads_and_predicts(make_release: Make) -> None:
    model = mlflow.pyfunc.load_model(str(make_release("one", factor=4)))
    np.testing.assert_array_equal(model.predict(FRAME)["utility"], [4.0, 8.0])


def test_one_bit_flipped_in_any_manifested_file_is_refused(make_release: Make) -> None:
    release = make_release("one")
    checked = [path for path in files_of(release) if path not in OWN_BYTES]
    assert len(checked) == 17, checked
    for path in checked:
        data = (release / path).read_bytes()
        (release / path).write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(errors.StoreError, match="cannot be loaded"):
            load_release(release)
        (release / path).write_bytes(data)
    assert len(load_release(release).score(FRAME)) == 2


@pytest.mark.parametrize("path", ["artifacts/release/weight.json", "code/{package}/columns.py"])
def test_a_changed_file_is_named_with_the_way_out(make_release: Make, path: str) -> None:
    release = make_release("one")
    package = next((release / "code").iterdir()).name
    path = path.format(package=package)
    (release / path).write_text("7")
    with pytest.raises(errors.StoreError, match=r"1 of its files are wrong.*Fetch it again") as caught:
        load_release(release)
    assert path.removeprefix("artifacts/release/") in str(caught.value)


@pytest.mark.parametrize("place", ["code", "code/{package}", "artifacts/release"])
def test_an_extra_file_is_refused(make_release: Make, place: str) -> None:
    release = make_release("one")
    package = next((release / "code").iterdir()).name
    (release / place.format(package=package) / "lightgbm.py").write_text("")
    with pytest.raises(errors.StoreError, match=r"lightgbm\.py is not in the manifest"):
        load_release(release)


def test_a_linked_folder_beside_the_code_is_refused(make_release: Make, tmp_path: Path) -> None:
    release = make_release("one")
    (tmp_path / "elsewhere").mkdir()
    (release / "code" / "lightgbm").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.StoreError, match="code/lightgbm is not in the manifest"):
        load_release(release)


@pytest.mark.parametrize("path", ["artifacts/release/weight.json", "artifacts/release/manifest.json"])
def test_a_missing_file_is_refused(make_release: Make, path: str) -> None:
    release = make_release("one")
    (release / path).unlink()
    with pytest.raises(errors.StoreError, match=f"{Path(path).name} is missing"):
        load_release(release)


def test_missing_code_is_refused_before_anything_is_imported(make_release: Make) -> None:
    release = make_release("one", factor=77)
    package = next((release / "code").iterdir())
    (package / "errors.py").unlink()
    with pytest.raises(errors.StoreError, match=r"errors\.py is missing"):
        load_release(release)
    assert not any(name.startswith(package.name) for name in sys.modules)


def test_a_planted_cache_is_never_run(make_release: Make, tmp_path: Path) -> None:
    release = make_release("one")
    package = next((release / "code").iterdir())
    for source in (release / "model.py", package / "ranking" / "scoring.py"):
        planted = tmp_path / source.name
        planted.write_text("raise SystemExit('planted')")
        cache = source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        cache.parent.mkdir()
        py_compile.compile(
            str(planted), cfile=str(cache), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
    assert len(load_release(release).score(FRAME)) == 2


def test_a_configuration_without_the_manifest_is_refused(make_release: Make) -> None:
    release = make_release("one")
    mlmodel = (release / "MLmodel").read_text()
    (release / "MLmodel").write_text(mlmodel.replace("manifest_sha256:", "manifest_sha257:"))
    with pytest.raises(errors.StoreError, match="configures no manifest_sha256"):
        load_release(release)


def test_it_loads_in_a_fresh_interpreter_without_this_repository(make_release: Make, tmp_path: Path) -> None:
    release = make_release("one", factor=6)
    score = 'print(model.predict(pd.DataFrame({"x": [1.0, 2.0]}))["utility"].tolist())'
    said = run_alone(release, score, folder=tmp_path)
    assert said.strip() == "[6.0, 12.0]"
