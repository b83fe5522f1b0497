"""Every public function of the numeric rooms has an example in its docstring, which runs as a doctest."""

import ast
from pathlib import Path
from typing import Final

import pytest

TASKS: Final = Path(__file__).parents[1] / "tasks"
ROOMS: Final = ("evaluation", "ranking", "calibration", "training")
WITHOUT: Final = {
    "evaluation/evidence.py": "documents, no figures: its laws are in tests/evaluation",
    "training/inputs.py": "says what decides a part's bytes, from contracts: tests/training/test_inputs.py",
    "training/slices.py": "needs a surface's four contracts: the days are drawn in tests/training/test_slices.py",
}
"""Modules without figures, or whose examples would be longer than their tests; each with its reason."""


def steps_of(room: str) -> set[str]:
    """Return the modules that the room's docstring names as steps: they need stores, which no doctest has."""
    text = ast.get_docstring(ast.parse((TASKS / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    lines = [line for line in text.replace("\n    ", " ").splitlines() if line.startswith("Steps: ")]
    return {name.strip() for line in lines for name in line.removeprefix("Steps: ").rstrip(".").split(",")}


def kernels() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted((TASKS / room).glob("*.py"))
        if path.stem not in {"__init__", *steps_of(room)}
        and path.relative_to(TASKS).as_posix() not in WITHOUT
    ]


@pytest.mark.parametrize("path", kernels(), ids=lambda path: path.relative_to(TASKS).as_posix())
def test_every_public_function_shows_an_example(path: Path) -> None:
    functions = [
        node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    public = [function for function in functions if not function.name.startswith("_")]
    assert [f.name for f in public if ">>>" not in (ast.get_docstring(f) or "")] == []


def test_the_modules_without_examples_are_there() -> None:
    assert [name for name in WITHOUT if not (TASKS / name).exists()] == []
    assert all((TASKS / room / f"{step}.py").exists() for room in ROOMS for step in steps_of(room))
