"""Every trial is a run below its task's, and a search that was killed goes on from the runs that are there."""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.contracts.training import Search
from tasks.steps import train
from tasks.steps.context import Context
from tasks.steps.trials import searched
from tasks.stores.runs import INPUTS, PARENT, StepRun, read_evidence, step_run
from tasks.training.search import Found, Train, search
from tests.steps.small_feed import AS_OF, SURFACE, small_feed, write_contracts
from tests.stores.mlflow_home import new_home

OWN = {"num_leaves": 4, "learning_rate": 0.3}
BUDGET = Search(trials=7, seconds=600)
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


def attempt(home: Path, train: Train, *, inputs: str = INPUTS_OF_BOTH) -> tuple[StepRun, Found]:
    with step_run(home, "feed", step="train", task="click", inputs=inputs) as run:
        return run, searched(run, task="click", inputs=inputs, train=train, own=OWN, budget=BUDGET)


def trials_below(run: StepRun) -> list[Any]:
    experiment = run.client.get_run(run.run_id).info.experiment_id
    below = f"tags.`{PARENT}` = '{run.run_id}'"
    return sorted(
        run.client.search_runs([experiment], below), key=lambda found: int(found.data.tags["trial"])
    )


@pytest.fixture(scope="module")
def continued(tmp_path_factory: pytest.TempPathFactory) -> tuple[StepRun, Found]:
    """A search that was killed in its fifth trial, without a word, and started again."""
    home = new_home(tmp_path_factory.mktemp("killed"))
    left_running = step_run(home, "feed", step="train", task="click", inputs=INPUTS_OF_BOTH)
    run = left_running.__enter__()
    with pytest.raises(KilledError):
        searched(run, task="click", inputs=INPUTS_OF_BOTH, train=killed_at(4), own=OWN, budget=BUDGET)
    assert [found.data.tags["trial"] for found in trials_below(run)] == ["0", "1", "2", "3"]
    return attempt(home, valley)


def test_it_ends_where_it_would_have_ended(continued: tuple[StepRun, Found]) -> None:
    undisturbed = search(valley, OWN, BUDGET)
    found = continued[1]
    assert found.parameters == undisturbed.parameters
    assert [(t.parameters, t.state, t.loss, t.curve) for t in found.trials] == [
        (t.parameters, t.state, t.loss, t.curve) for t in undisturbed.trials
    ]


def test_every_trial_lies_once_below_the_run_that_ended(continued: tuple[StepRun, Found]) -> None:
    run, found = continued
    below = trials_below(run)
    assert [int(one.data.tags["trial"]) for one in below] == list(range(BUDGET.trials))
    for one, tried in zip(below, found.trials, strict=True):
        assert one.data.tags[INPUTS] == INPUTS_OF_BOTH
        assert one.data.tags["state"] == tried.state
        assert one.data.metrics["lowest_loss"] == tried.loss
        assert float(one.data.params["learning_rate"]) == tried.parameters["learning_rate"]


def test_the_train_run_says_what_won_and_what_was_gained(continued: tuple[StepRun, Found]) -> None:
    run, found = continued
    logged = run.client.get_run(run.run_id)
    assert found.best is not None
    assert float(logged.data.params["best.learning_rate"]) == found.best.parameters["learning_rate"]
    assert logged.data.metrics["search.loss"] < logged.data.metrics["search.contract_loss"]


def test_a_search_of_other_inputs_begins_at_its_own_first_trial(
    continued: tuple[StepRun, Found], tmp_path: Path
) -> None:
    home = new_home(tmp_path)
    first, _ = attempt(home, valley)
    second, _ = attempt(home, valley, inputs="b" * 64)
    assert len(trials_below(first)) == len(trials_below(second)) == BUDGET.trials
    assert read_evidence(home, second.run_id, "search.json")["trials"] == BUDGET.trials


def test_a_task_is_trained_with_what_its_search_ended_with(tmp_path: Path) -> None:
    context, snapshot = small_feed(tmp_path)
    asked = SURFACE + "training: {click_1d: {search: {trials: 3, seconds: 600}}}\n"
    write_contracts(context.surfaces, surface=asked)
    searching = Context.open(context.surface, surfaces=context.surfaces, home=context.home)
    made = train.run(searching, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    evidence = read_evidence(context.home, made.run_id)
    best = evidence["search"]["best"]
    assert (evidence["search"]["trials"], evidence["search"]["ended_by"]) == (3, "trials")
    assert best["loss"] == evidence["fold_loss"], "the model is the best trial, trained again"
    if best["number"]:
        said = evidence["parameters"]
        assert {name: said[f"lightgbm.{name}"] for name in best["parameters"]} == best["parameters"]
    assert train.run(searching, task="click_1d", as_of=AS_OF, snapshot=snapshot).reused
