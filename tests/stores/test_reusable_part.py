"""A part is made once from its inputs, and found by them afterwards."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse

import pytest

from tasks.stores.parts import Part
from tasks.stores.reusable_part import ReusablePart
from tasks.stores.runs import EVIDENCE, StepRun
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.stores.mlflow_home import new_home

NAME = "feed.task.click"


@pytest.fixture
def wanted(tmp_path: Path) -> ReusablePart:
    workspace = Workspace(
        "feed", surfaces=tmp_path / "surfaces", store=Store.open(new_home(tmp_path / "home"))
    )
    return ReusablePart(workspace, "train", "click", NAME, inputs="i", tags={"snapshot": "s"})


def make(wanted: ReusablePart, content: bytes = b"1", *, dies: bool = False) -> Part:
    """Make the part; a step that dies does so after it was registered."""

    def fit(run: StepRun, tags: Mapping[str, str]) -> Part:
        run.json(EVIDENCE, {"made": content.decode()})
        registry = wanted.workspace.store.registry
        part = registry.register(NAME, {"f": content}, run_id=run.run_id, tags=tags, model_type="t")
        if dies:
            raise KeyboardInterrupt
        return part

    return wanted.make(fit, parent_run=None)


def test_what_was_not_made_is_not_found(wanted: ReusablePart) -> None:
    assert wanted.find() is None


def test_what_was_made_is_found_by_the_same_inputs_alone(wanted: ReusablePart) -> None:
    made = make(wanted)
    assert wanted.find() == made
    assert replace(wanted, inputs="j").find() is None
    assert wanted.registry.tags(made)["snapshot"] == "s"


def test_a_run_that_was_killed_after_its_work_is_closed_when_the_part_is_found(wanted: ReusablePart) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(wanted, dies=True)
    part = wanted.find()
    assert part is not None
    run = wanted.registry.client.get_run(wanted.registry.run_id(part))
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("lost", ["evidence", "files", "both"])
@pytest.mark.parametrize("torn", [True, False])
def test_what_lost_its_files_or_its_evidence_is_made_again_in_its_place(
    wanted: ReusablePart, lost: str, *, torn: bool
) -> None:
    made = make(wanted)
    registry = wanted.registry
    run, model = registry.run_id(made), registry.model_id(made)
    folders = {
        "evidence": registry.client.get_run(run).info.artifact_uri,
        "files": registry.client.get_logged_model(model).artifact_location,
    }
    for name, location in folders.items():
        if lost in {name, "both"}:
            for file in (f for f in Path(urlparse(location).path).rglob("*") if f.is_file()):
                file.write_bytes(b"") if torn else file.unlink()
    assert wanted.find() is None
    assert make(wanted) == made
    assert wanted.find() == made
    assert registry.run_id(made) == run
    assert json.loads(registry.runs.read_text(run, EVIDENCE)) == {"made": "1"}
