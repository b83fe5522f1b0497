"""A step makes its evidence once for equal inputs and equal code, and finds it afterwards."""

import ast
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import pytest

from tasks.calibration.step import CALIBRATE
from tasks.evaluation.documents import Document
from tasks.promotion.gate import GATE
from tasks.release.assemble import RELEASE
from tasks.replay.shadow import SHADOW
from tasks.replay.simulate import SIMULATE
from tasks.settings import REPOSITORY
from tasks.stores import steps
from tasks.stores.registry import Registry
from tasks.stores.runs import EVIDENCE, StepRun
from tasks.stores.steps import CODE, Code, DoneModel, Model, ModelStep, Step
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training.examination import EXAMINATION
from tasks.training.same_day import SAME_DAY
from tasks.training.step import TRAIN
from tasks.tuning.tune import TUNE
from tasks.validation.step import VALIDATE
from tests.stores.killed import killed_in
from tests.stores.mlflow_home import new_home

NAME = "feed.task.click"


class Counted(Document):
    """Evidence of a step that counts."""

    document: Literal["counted"] = "counted"
    version: Literal[1] = 1
    count: int


@dataclass(frozen=True)
class Counting:
    """What is counted; ``calls`` notes each time that the function runs."""

    workspace: Workspace
    count: int = 3
    calls: list[int] = field(default_factory=list)


def count(work: Counting, run: StepRun) -> Counted:
    work.calls.append(work.count)
    run.metrics({"count": work.count})
    return Counted(count=work.count)


def fit(work: Counting, run: StepRun) -> Model[Counted]:
    return Model(count(work, run), {"f": str(work.count).encode()}, kind="t")


def inputs(work: Counting) -> Mapping[str, Any]:
    return {"count": work.count}


COUNT = Step(
    name="count",
    room="replay",
    document=Counted,
    inputs=inputs,
    tags=lambda work: {"snapshot": "s"},
    function=count,
)
FIT = ModelStep(
    name="fit",
    room="training",
    document=Counted,
    inputs=inputs,
    tags=lambda work: {"snapshot": "s"},
    task=lambda work: "click",
    function=fit,
    model=lambda work: NAME,
    doing="counting",
)


@pytest.fixture
def work(tmp_path: Path) -> Counting:
    return Counting(
        Workspace("feed", surfaces=tmp_path / "surfaces", store=Store.open(new_home(tmp_path / "home")))
    )


def test_equal_inputs_are_evidenced_once(work: Counting) -> None:
    made, again = COUNT.run(work), COUNT.run(work)
    assert (made.evidence.count, made.reused, again) == (3, False, replace(made, reused=True))
    assert work.calls == [3]
    other = COUNT.run(replace(work, count=4))
    assert (other.evidence.count, other.reused) == (4, False)


def test_the_run_carries_the_tags_of_the_step_and_its_figures(work: Counting) -> None:
    run = work.workspace.store.registry.client.get_run(COUNT.run(work).run_id)
    assert (run.data.tags["step"], run.data.tags["snapshot"], run.data.metrics) == (
        "count",
        "s",
        {"count": 3},
    )
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("step", [COUNT, FIT], ids=lambda step: step.name)
def test_changed_code_makes_the_evidence_anew(
    step: Any, work: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    code = package / "columns.py"
    code.write_text("X = 1")
    monkeypatch.setattr(steps, "CODE", Code(package))
    first = step.run(work)
    assert step.run(work).reused
    code.write_text("X = 2")
    monkeypatch.setattr(steps, "CODE", Code(package))
    assert not step.run(work).reused
    code.write_text("X = 1")
    monkeypatch.setattr(steps, "CODE", Code(package))
    assert step.run(work).run_id == first.run_id


def test_a_step_that_reuses_nothing_runs_each_time(work: Counting) -> None:
    always = replace(COUNT, reuses=False)
    assert always.run(work).run_id != always.run(work).run_id
    assert work.calls == [3, 3]


def test_a_model_is_made_once_and_found_by_its_fingerprint(work: Counting) -> None:
    made, again = FIT.run(work), FIT.run(work)
    assert again == replace(made, reused=True)
    assert (made.part.name, made.part.version, made.evidence.count) == (NAME, 1, 3)
    assert work.workspace.store.registry.tags(made.part)["snapshot"] == "s"
    assert FIT.run(replace(work, count=4)).part.version == 2


def test_a_run_that_was_killed_after_its_work_is_closed_when_its_model_is_found(work: Counting) -> None:
    with killed_in(Registry, "log_metrics"):
        FIT.run(work)
    done = FIT.run(work)
    assert done.reused
    assert work.workspace.store.registry.client.get_run(done.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("lost", ["evidence", "files", "both"])
@pytest.mark.parametrize("torn", [True, False])
def test_a_model_that_lost_its_files_or_its_evidence_is_made_again_in_its_place(
    work: Counting, lost: str, *, torn: bool
) -> None:
    made = FIT.run(work)
    _lose(work.workspace.store.registry, made, lost, torn=torn)
    again = FIT.run(work)
    assert (again, work.calls) == (made, [3, 3])
    assert json.loads(work.workspace.store.runs.read_text(again.run_id, EVIDENCE))["count"] == 3
    assert FIT.run(work) == replace(made, reused=True)


def _lose(registry: Registry, made: DoneModel[Counted], lost: str, *, torn: bool) -> None:
    folders = {
        "evidence": registry.client.get_run(made.run_id).info.artifact_uri,
        "files": registry.client.get_logged_model(registry.model_id(made.part)).artifact_location,
    }
    for name, location in folders.items():
        if lost in {name, "both"}:
            for file in (f for f in Path(urlparse(location).path).rglob("*") if f.is_file()):
                file.write_bytes(b"") if torn else file.unlink()


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
