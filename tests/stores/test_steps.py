"""A step makes its evidence once for equal inputs and equal code, and finds it afterwards."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

import pytest

from tasks.evaluation.documents import Document
from tasks.stores import steps
from tasks.stores.code import Code
from tasks.stores.registry import Registry
from tasks.stores.runs import EVIDENCE, StepRun
from tasks.stores.steps import DoneModel, Model, ModelStep, Step
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
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


def test_a_run_that_was_killed_after_its_work_is_closed_when_its_model_is_found(
    work: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "log_metrics", die)
        with pytest.raises(KeyboardInterrupt):
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
