"""What travels with a release stands on its own, under a name that only this content has."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import StoreError
from tasks.release.staging import SCRIPT, requirements, stage_code, travelling

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
    assert one.package == two.package
    assert one.digests == two.digests


def test_one_changed_byte_changes_the_name(tmp_path: Path) -> None:
    source = tmp_path / "tasks"
    for path, data in travelling().items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    same = stage_code(tmp_path / "same", source=source).package
    (source / "columns.py").write_bytes(travelling()["columns.py"] + b"\n")
    assert same == stage_code(tmp_path / "here").package
    assert same != stage_code(tmp_path / "changed", source=source).package


def test_every_staged_file_and_the_script_have_a_digest(tmp_path: Path) -> None:
    staged = stage_code(tmp_path)
    files = {
        f"code/{staged.package}/{p.relative_to(staged.folder).as_posix()}"
        for p in staged.folder.rglob("*.py")
    }
    assert set(staged.digests) == files | {"model.py"}


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
    staged = stage_code(tmp_path)
    scoring = f"{staged.package}.ranking.scoring"
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
