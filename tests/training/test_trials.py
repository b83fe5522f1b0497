"""Every trial is a run below its task's, and a search that was killed goes on from the runs that are there."""

import json
import math
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse

import pytest

from tasks.contracts.training import Search
from tasks.stores.runs import INPUTS, PARENT, StepKey, StepRun
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.search import SearchResult, Train, run_search, search
from tests.feeds import mini
from tests.feeds.small_feed import AS_OF, SURFACE, small_feed, write_contracts
from tests.stores.mlflow_home import new_home
from tests.stores.plain_evidence import read_plain

pytestmark = pytest.mark.xdist_group("trials")  # in one process, which searches once

OWN = {"num_leaves": 4, "learning_rate": 0.3}
BUDGET = Search(trials=7, seconds=600)
TRIALS = 8
INPUTS_OF_BOTH = "a" * 64


def valley(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
    off = abs(math.log(parameters["learning_rate"] / 0.07)) / 3
    for tree in range(40):
        loss = 1 + off + math.exp(-tree / 7) / 3
        watch(SimpleNamespace(iteration=tree, evaluation_result_list=[("fold", "loss", loss, False)]))


class KilledError(BaseException):
    """Stands where the process ended."""


def killed_at(trial: int) -> Train:
    trials: Iterator[int] = iter(range(1000))

    def train(parameters: Mapping[str, float], watch: Callable[[Any], None]) -> None:
        if next(trials) == trial:
            raise KilledError
        valley(parameters, watch)

    return train


def attempt(home: Path, train: Train, *, inputs: str = INPUTS_OF_BOTH) -> tuple[StepRun, SearchResult]:
    with Store.open(home).runs.step(StepKey("feed", step="train", task="click", inputs=inputs)) as run:
        return run, run_search(run, task="click", inputs=inputs, train=train, own=OWN, budget=BUDGET)


def trials_below(run: StepRun) -> list[Any]:
    experiment = run.client.get_run(run.run_id).info.experiment_id
    below = f"tags.`{PARENT}` = '{run.run_id}'"
    return sorted(
        run.client.search_runs([experiment], below), key=lambda found: int(found.data.tags["trial"])
    )


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> tuple[StepRun, SearchResult]:
    """A search that was killed in its fifth trial, without a word, and started again."""
    home = new_home(tmp_path_factory.mktemp("killed"))
    left_running = Store.open(home).runs.step(
        StepKey("feed", step="train", task="click", inputs=INPUTS_OF_BOTH)
    )
    run = left_running.__enter__()
    with pytest.raises(KilledError):
        run_search(run, task="click", inputs=INPUTS_OF_BOTH, train=killed_at(4), own=OWN, budget=BUDGET)
    assert [found.data.tags["trial"] for found in trials_below(run)] == ["0", "1", "2", "3"]
    return attempt(home, valley)


def test_it_ends_where_it_would_have_ended(continued: tuple[StepRun, SearchResult]) -> None:
    undisturbed = search(valley, OWN, BUDGET)
    found = continued[1]
    assert found.parameters == undisturbed.parameters
    assert [(t.parameters, t.state, t.loss, t.curve) for t in found.trials] == [
        (t.parameters, t.state, t.loss, t.curve) for t in undisturbed.trials
    ]


def test_every_trial_lies_once_below_the_run_that_ended(continued: tuple[StepRun, SearchResult]) -> None:
    run, found = continued
    below = trials_below(run)
    assert [int(one.data.tags["trial"]) for one in below] == list(range(BUDGET.trials))
    for one, tried in zip(below, found.trials, strict=True):
        assert one.data.tags[INPUTS] == INPUTS_OF_BOTH
        assert one.data.tags["state"] == tried.state
        assert one.data.metrics["lowest_loss"] == tried.loss
        assert float(one.data.params["learning_rate"]) == tried.parameters["learning_rate"]


def test_the_train_run_says_what_won_and_what_was_gained(continued: tuple[StepRun, SearchResult]) -> None:
    run, found = continued
    logged = run.client.get_run(run.run_id)
    assert found.best is not None
    assert float(logged.data.params["best.learning_rate"]) == found.best.parameters["learning_rate"]
    assert logged.data.metrics["search.loss"] < logged.data.metrics["search.contract_loss"]


def test_a_trial_that_was_killed_while_it_was_written_is_closed_and_tried_again(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    with Store.open(home).runs.step(
        StepKey("feed", step="train", task="click", inputs=INPUTS_OF_BOTH)
    ) as run:
        experiment = run.client.get_run(run.run_id).info.experiment_id
        half = {"step": "trial", INPUTS: INPUTS_OF_BOTH, "trial": "0", "state": "complete"}
        left = run.client.create_run(experiment, tags=half).info.run_id
    _, found = attempt(home, valley)
    assert run.client.get_run(left).info.status == "KILLED"
    assert [tried.number for tried in found.trials] == list(range(BUDGET.trials))


def test_a_search_of_other_inputs_begins_at_its_own_first_trial(
    continued: tuple[StepRun, SearchResult], tmp_path: Path
) -> None:
    home = new_home(tmp_path)
    first, _ = attempt(home, valley)
    second, found = attempt(home, valley, inputs="b" * 64)
    assert len(trials_below(first)) == len(trials_below(second)) == BUDGET.trials
    assert [tried.number for tried in found.trials] == list(range(BUDGET.trials))
    artifacts = Path(urlparse(second.client.get_run(second.run_id).info.artifact_uri).path)
    assert json.loads((artifacts / "search.json").read_text(encoding="utf-8"))["trials"] == BUDGET.trials


def searching_feed(folder: Path, *, trials: int) -> tuple[Workspace, str]:
    """Return the small feed whose clicks are searched, and its snapshot."""
    workspace, snapshot = small_feed(folder)
    asked = f"training: {{click_1d: {{search: {{trials: {trials}, seconds: 600}}}}}}\n"
    write_contracts(workspace.surfaces, surface=SURFACE + asked)
    return Workspace.open(workspace.surface, surfaces=workspace.surfaces, home=workspace.home), snapshot


@dataclass(frozen=True)
class Ended:
    """A training whose process was killed in its search and that was then run again, to its end.

    ``exits`` of both processes, what the second printed, and every run that there is, oldest first.
    """

    exits: list[int | None]
    printed: dict[str, Any]
    runs: list[Any]
    search: dict[str, Any]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("killed_search")
    workspace, snapshot = searching_feed(folder, trials=TRIALS)
    words = ["train", workspace.surface, "click_1d", "--as-of", AS_OF.isoformat(), "--snapshot", snapshot]
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home), "--json"]
    exits = mini.run_killed([*words, *where], [(f"trial 3 of {TRIALS}", 0.0)], folder / "said")
    printed = json.loads((folder / "said" / "result.json").read_text(encoding="utf-8"))
    client = workspace.store.client
    experiment = client.get_run(printed["run_id"]).info.experiment_id
    runs = client.search_runs([experiment], order_by=["attributes.start_time ASC"])
    return Ended(exits, printed, list(runs), read_plain(workspace.home, printed["run_id"])["search"])


def test_a_process_that_was_killed_in_its_search_leaves_no_run_open(killed: Ended) -> None:
    assert killed.exits == [-signal.SIGKILL, 0]
    trained = [run.info.status for run in killed.runs if run.data.tags["step"] == "train"]
    assert trained == ["KILLED", "FINISHED"]
    assert "RUNNING" not in {run.info.status for run in killed.runs}


def test_the_trials_that_it_had_ended_are_used_again_and_not_repeated(killed: Ended) -> None:
    again = next(run.info for run in killed.runs if run.info.run_id == killed.printed["run_id"])
    trials = [
        run for run in killed.runs if run.data.tags["step"] == "trial" and run.info.status == "FINISHED"
    ]
    assert [int(run.data.tags["trial"]) for run in trials] == list(range(TRIALS))
    assert {run.data.tags[PARENT] for run in trials} == {again.run_id}
    before = [run for run in trials if run.info.end_time <= again.start_time]
    assert 3 <= len(before) < TRIALS


def test_it_ends_in_the_parameters_and_the_bytes_of_a_search_that_nobody_killed(
    killed: Ended, tmp_path: Path
) -> None:
    workspace, snapshot = searching_feed(tmp_path, trials=TRIALS)
    undisturbed = train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    assert killed.printed["sha256"] == undisturbed.sha256
    assert killed.search == read_plain(workspace.home, undisturbed.run_id)["search"]
    assert killed.search["best"]["number"] > 0, "another than the contract's own is found"


def test_a_task_is_trained_with_what_its_search_ended_with(tmp_path: Path) -> None:
    searching, snapshot = searching_feed(tmp_path, trials=3)
    made = train.run(searching, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    evidence = read_plain(searching.home, made.run_id)
    best = evidence["search"]["best"]
    assert (evidence["search"]["trials"], evidence["search"]["ended_by"]) == (3, "trials")
    assert best["loss"] == evidence["fold_loss"], "the model is the best trial, trained again"
    if best["number"]:
        said = evidence["parameters"]
        assert {name: said[f"lightgbm.{name}"] for name in best["parameters"]} == best["parameters"]
    assert train.run(searching, task="click_1d", as_of=AS_OF, snapshot=snapshot).reused
