"""A release runs its own code and nothing that was not registered."""

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


def test_a_release_scores_with_its_own_code_and_artifacts(make_release: Make) -> None:
    loaded = load_release(make_release("one", factor=3, weight=2.0))
    np.testing.assert_array_equal(loaded.score(FRAME)["utility"], [6.0, 12.0])
    assert list(loaded.explain(FRAME, "s")["x"]) == [2.0]


def test_two_releases_with_different_code_live_in_one_process(make_release: Make) -> None:
    one, two = load_release(make_release("one", factor=1)), load_release(make_release("two", factor=10))
    np.testing.assert_array_equal(one.score(FRAME)["utility"], [1.0, 2.0])
    np.testing.assert_array_equal(two.score(FRAME)["utility"], [10.0, 20.0])
    np.testing.assert_array_equal(one.score(FRAME)["utility"], [1.0, 2.0])


def test_equal_code_with_other_artifacts_is_shared_and_scores_differently(make_release: Make) -> None:
    one, two = load_release(make_release("one", weight=1.0)), load_release(make_release("two", weight=5.0))
    np.testing.assert_array_equal(one.score(FRAME)["utility"], [1.0, 2.0])
    np.testing.assert_array_equal(two.score(FRAME)["utility"], [5.0, 10.0])


def test_plain_mlflow_loads_and_predicts(make_release: Make) -> None:
    model = mlflow.pyfunc.load_model(str(make_release("one", factor=4)))
    np.testing.assert_array_equal(model.predict(FRAME)["utility"], [4.0, 8.0])


def test_an_error_of_the_release_reaches_the_caller_as_ours(make_release: Make) -> None:
    loaded = load_release(make_release("one"))
    with pytest.raises(errors.DataError, match="no x"):
        loaded.score(FRAME.drop(columns="x"))


def test_one_bit_flipped_in_any_manifested_file_is_refused(make_release: Make) -> None:
    release = make_release("one")
    checked = [path for path in files_of(release) if path not in OWN_BYTES]
    assert len(checked) == 13, checked
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


def test_loading_leaves_nothing_behind(make_release: Make) -> None:
    release = make_release("one")
    before, path = files_of(release), list(sys.path)
    load_release(release).score(FRAME)
    assert files_of(release) == before
    assert sys.path == path


def test_a_configuration_without_the_manifest_is_refused(make_release: Make) -> None:
    release = make_release("one")
    mlmodel = (release / "MLmodel").read_text()
    (release / "MLmodel").write_text(mlmodel.replace("manifest_sha256:", "manifest_sha257:"))
    with pytest.raises(errors.StoreError, match="configures no manifest_sha256"):
        load_release(release)


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.StoreError, match="cannot be loaded"):
        load_release(tmp_path)


def test_it_loads_in_a_fresh_interpreter_without_this_repository(make_release: Make, tmp_path: Path) -> None:
    release = make_release("one", factor=6)
    score = 'print(model.predict(pd.DataFrame({"x": [1.0, 2.0]}))["utility"].tolist())'
    said = run_alone(release, score, folder=tmp_path)
    assert said.strip() == "[6.0, 12.0]"
