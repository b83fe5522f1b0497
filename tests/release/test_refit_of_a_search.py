"""Parameters that were searched are refitted as they were tested, and nothing is searched anew.

::

    tested     clicks from a budget of trials; purchases too, above a dense start from clicks
    refitted   each on newer days, with the parameters of its tested model
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import pytest

from tasks.calibration import step as calibrate
from tasks.release.parts import Pins, Trained, pin_trained
from tasks.release.refit import Refit
from tasks.stores.manifest import BOOSTER
from tasks.stores.registry import Registry
from tasks.stores.runs import PARENT
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tests.feeds.small_feed import AS_OF, NAME, SURFACE, small_feed, write_contracts
from tests.stores.plain_evidence import read_plain

pytestmark = pytest.mark.xdist_group("searched")  # in one process, which searches once

TRIALS = 8
TRAINING = f"""
training:
  click_1d: {{refit: true, search: {{trials: {TRIALS}, seconds: 600}}}}
  buy_2d: {{refit: true, search: {{trials: {TRIALS}, seconds: 600}}, start_from: {{task: click_1d}}}}
"""
SEARCHED = ("click_1d", "buy_2d")


@dataclass(frozen=True)
class Refitted:
    """What was tested and what is served, with the trials that there were before the refit and after it."""

    refit: Refit
    trained: tuple[Trained, ...]
    tested: Pins
    served: Pins
    failed: dict[str, str]
    trials: tuple[list[str], list[str]]

    @property
    def registry(self) -> Registry:
        return self.refit.workspace.store.registry

    def runs(self, task: str) -> Iterator[str]:
        """Give the train runs of the tested and the served model."""
        for pins in (self.tested, self.served):
            model = pins[task][0]
            yield self.registry.run_id(self.registry.part(model.name, model.version))

    def evidence(self, task: str) -> list[dict[str, Any]]:
        return [read_plain(self.registry.home, run) for run in self.runs(task)]

    def written(self, task: str) -> Iterator[dict[str, Any]]:
        """Give the parameters that the text of each model says it was grown with."""
        for pins in (self.tested, self.served):
            model = pins[task][0]
            files = self.registry.files(model)
            yield lgb.Booster(model_str=files[BOOSTER].decode()).params


def trials(workspace: Workspace, below: str | None = None) -> list[str]:
    """Return the runs of all trials, or of those below a run."""
    client = workspace.store.registry.client
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    wanted = "tags.step = 'trial'" + (f" and tags.`{PARENT}` = '{below}'" if below else "")
    return [run.info.run_id for run in client.search_runs([experiment.experiment_id], wanted)]


@pytest.fixture(scope="module")
def refitted(tmp_path_factory: pytest.TempPathFactory) -> Refitted:
    made, snapshot = small_feed(tmp_path_factory.mktemp("searched"))
    surfaces = write_contracts(made.surfaces, surface=SURFACE + TRAINING)
    workspace = Workspace.open(NAME, surfaces=surfaces, home=made.home)
    parts = tuple(_make(workspace, snapshot, task) for task in SEARCHED)
    tested = {part.task: pin_trained(NAME, workspace.store.registry, part) for part in parts}
    before, refit = trials(workspace), Refit(workspace, AS_OF, snapshot, parent_run=None)
    served, failed = refit.served(tested, parts)
    return Refitted(refit, parts, tested, served, failed, (before, trials(workspace)))


def _make(workspace: Workspace, snapshot: str, task: str) -> Trained:
    model = train.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot)
    fitted = calibrate.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot, model_version=model.version)
    return Trained(task, model.version, fitted.version)


@pytest.mark.parametrize("task", SEARCHED)
def test_the_search_found_other_parameters_than_the_contracts(refitted: Refitted, task: str) -> None:
    tested, _ = refitted.evidence(task)
    best, own = tested["search"]["best"], refitted.refit.workspace.contracts.surface.lightgbm_for(task)
    assert best["number"] > 0
    assert {name: own.get(name) for name in best["parameters"]} != best["parameters"]


@pytest.mark.parametrize("task", SEARCHED)
def test_the_refit_has_the_parameters_that_were_found_to_the_last_digit(
    refitted: Refitted, task: str
) -> None:
    assert refitted.failed == {}
    tested, refit = refitted.evidence(task)
    said, found = refit["parameters"], tested["search"]["best"]["parameters"]
    assert {name: said[f"lightgbm.{name}"] for name in found} == found
    assert said == tested["parameters"] | {"lightgbm.rounds": tested["rounds"]}
    assert refit["rounds"] == tested["rounds"]


@pytest.mark.parametrize("task", SEARCHED)
def test_its_trees_were_grown_by_them_on_newer_days(refitted: Refitted, task: str) -> None:
    tested, refit = refitted.evidence(task)
    assert refit["slices"]["train"][1] > tested["slices"]["train"][1]
    before, after = refitted.written(task)
    grown_by = [f"lightgbm.{name}" for name in tested["search"]["best"]["parameters"]]
    names = [name.removeprefix("lightgbm.") for name in grown_by]
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


@pytest.mark.parametrize("task", SEARCHED)
def test_nothing_is_searched_anew(refitted: Refitted, task: str) -> None:
    tested, refit = refitted.evidence(task)
    assert (tested["search"]["trials"], refit["search"]) == (TRIALS, None)
    workspace = refitted.refit.workspace
    assert [len(trials(workspace, below=run)) for run in refitted.runs(task)] == [TRIALS, 0]
    assert refitted.trials[0] == refitted.trials[1]


def test_the_same_again_is_found_and_searches_nothing(refitted: Refitted) -> None:
    served, failed = refitted.refit.served(refitted.tested, refitted.trained)
    assert (served, failed) == (refitted.served, {})
    assert trials(refitted.refit.workspace) == refitted.trials[0]
