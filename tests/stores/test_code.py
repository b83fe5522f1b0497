"""The digest of a step's code covers what the step imports, and nothing of the rooms above it."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.calibration.step import CALIBRATE
from tasks.promotion.gate import GATE
from tasks.release.assemble import RELEASE
from tasks.replay.shadow import SHADOW
from tasks.replay.simulate import SIMULATE
from tasks.settings import REPOSITORY
from tasks.stores.code import CODE, Code
from tasks.training.examination import EXAMINATION
from tasks.training.same_day import SAME_DAY
from tasks.training.step import TRAIN
from tasks.tuning.tune import TUNE
from tasks.validation.step import VALIDATE

STEPS = (VALIDATE, EXAMINATION, TRAIN, SAME_DAY, CALIBRATE, RELEASE, SIMULATE, SHADOW, TUNE, GATE)


def imported(file: Path) -> Iterator[Path]:
    """Yield the modules of `tasks` that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), names=names):
                modules = [module, *(f"{module}.{alias.name}" for alias in names)]
            case _:
                continue
        for module in modules:
            if module.split(".")[0] == "tasks":
                place = REPOSITORY.joinpath(*module.split("."))
                yield from (
                    path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()
                )


def closure(module: str) -> set[str]:
    """Return every file of `tasks` that a module imports, directly or not, by its path in the package."""
    found, left = set[Path](), [REPOSITORY.joinpath(*module.split(".")).with_suffix(".py")]
    while left:
        file = left.pop()
        if file not in found:
            found.add(file)
            left += imported(file)
    return {file.relative_to(CODE.package).as_posix() for file in found}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_whatever_a_step_imports_is_digested(step: Any) -> None:
    reached = closure(step.function.__module__)
    room = f"{step.room}/"
    assert any(path.startswith(room) for path in reached)
    forgotten = reached - set(CODE.below(step.room, without=step.without))
    assert {path.split("/")[0] for path in forgotten} <= set(step.without)


def test_no_room_above_a_step_is_digested() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    (rooms,) = [one for one in settings["tool"]["importlinter"]["contracts"] if one.get("exhaustive")]
    layers = [[room.strip("() ") for room in layer.split("|")] for layer in rooms["layers"]]
    for step in STEPS:
        at = next(number for number, layer in enumerate(layers) if step.room in layer)
        above = {room for layer in layers[:at] for room in layer}
        digested = {Path(path).parts[0].removesuffix(".py") for path in CODE.below(step.room)}
        assert not digested & above


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for path in ("replay/decide.py", "reports/words.py", "metrics/rates.py", "promotion/gate.py"):
        file = tmp_path / path
        file.parent.mkdir()
        file.write_text("LIMIT = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("replay/decide.py", True),
        ("metrics/rates.py", True),
        ("metrics/new.py", True),
        ("promotion/gate.py", False),
        ("reports/words.py", False),
    ],
)
def test_a_changed_byte_at_or_below_the_room_changes_the_digest(
    package: Path, path: str, *, changes: bool
) -> None:
    before = Code(package).digest("replay", without=("reports",))
    assert Code(package).digest("replay", without=("reports",)) == before
    (package / path).write_text("LIMIT = 2\n")
    assert (Code(package).digest("replay", without=("reports",)) != before) == changes
