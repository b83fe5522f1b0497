"""A search's trials as MLflow runs below the train run; a search that was killed goes on from them.

::

    train click_30m                  equipoise.inputs = d
    ├── trial 0   FINISHED           equipoise.inputs = d, trial = 0, state = complete
    │     params   the searched parameters          metrics  loss by number of trees, lowest loss, seconds
    └── trial 1   ...

MLflow is the one memory of a search, on whatever machine the next attempt runs. A trial is written at
its end; one whose process was killed before leaves nothing that is read, and what was killed while it was
written is closed by the next attempt.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from mlflow.entities import Metric, Param

from tasks.contracts.training import Search
from tasks.stores.runs import INPUTS, PARENT, StepRun
from tasks.training.search import Parameters, SearchResult, Train, Trial, search

_LOG = logging.getLogger("equipoise")
_STEP: Final = "trial"
_CURVE: Final = "loss"
_LOWEST: Final = "lowest_loss"
_SECONDS: Final = "seconds"
_MOST: Final = 1000  # trials that a contract may ask for


def run_search(
    run: StepRun, *, task: str, inputs: str, train: Train, own: Parameters, budget: Search
) -> SearchResult:
    """Search a task's parameters, each trial a run below ``run``; trials of the same inputs are gone on from.

    Parameters
    ----------
    inputs : digest of everything that decides the model.
    train, own, budget : as in `tasks.training.search.search`.
    """
    before = _adopt_trials(run, inputs)
    if before:
        _LOG.info("search %s: goes on after %d of %d trials", task, len(before), budget.trials)

    def tell(tried: Trial) -> None:
        _write_trial(run, task, inputs, tried)
        _LOG.info(
            "search %s: trial %d of %d %s, loss %.6g",
            task,
            tried.number + 1,
            budget.trials,
            tried.state,
            tried.loss,
        )

    found = search(train, own, budget, before=before, tell=tell)
    run.json("search.json", found.summary().to_json())
    if found.best is not None:
        run.params({f"best.{name}": value for name, value in found.best.parameters.items()})
        run.metrics({"search.loss": found.best.loss, "search.contract_loss": found.trials[0].loss})
    return found


def _adopt_trials(run: StepRun, inputs: str) -> Sequence[Trial]:
    """Read the trials of an attempt that was killed, and put them below this run."""
    client = run.client
    experiment = client.get_run(run.run_id).info.experiment_id
    same = f"tags.step = '{_STEP}' and tags.`{INPUTS}` = '{inputs}'"
    for cut in client.search_runs([experiment], f"{same} and attributes.status = 'RUNNING'"):
        client.set_terminated(cut.info.run_id, "KILLED")
    found = client.search_runs(
        [experiment],
        f"{same} and attributes.status = 'FINISHED'",
        max_results=_MOST,
        order_by=["attributes.start_time DESC"],
    )
    for one in found:
        client.set_tag(one.info.run_id, PARENT, run.run_id)
    return [_read_trial(run, one) for one in found]


def _write_trial(run: StepRun, task: str, inputs: str, tried: Trial) -> None:
    client, now = run.client, int(time.time() * 1000)
    tags = {"step": _STEP, "task": task, INPUTS: inputs, PARENT: run.run_id}
    made = client.create_run(
        client.get_run(run.run_id).info.experiment_id,
        run_name=f"trial {tried.number} {task}",
        tags={**tags, "trial": str(tried.number), "state": tried.state},
    )
    metrics = [Metric(_CURVE, loss, now, trees) for trees, loss in tried.curve.items()]
    metrics += [Metric(_LOWEST, tried.loss, now, 0), Metric(_SECONDS, tried.seconds, now, 0)]
    params = [Param(name, repr(value)) for name, value in tried.parameters.items()]
    client.log_batch(made.info.run_id, metrics=metrics, params=params)
    client.set_terminated(made.info.run_id, "FINISHED")


def _read_trial(run: StepRun, one: Any) -> Trial:
    curve = run.client.get_metric_history(one.info.run_id, _CURVE) if _CURVE in one.data.metrics else []
    return Trial(
        number=int(one.data.tags["trial"]),
        parameters={name: _parse_number(text) for name, text in one.data.params.items()},
        state="complete" if one.data.tags["state"] == "complete" else "pruned",
        loss=one.data.metrics[_LOWEST],
        curve={point.step: point.value for point in curve},
        seconds=one.data.metrics[_SECONDS],
    )


def _parse_number(text: str) -> float | int:
    """Read a parameter; ``repr`` writes a float so that it is read back to the last bit.

    Examples
    --------
    >>> _parse_number("31"), _parse_number("0.1")
    (31, 0.1)
    """
    return int(text) if text.lstrip("-").isdigit() else float(text)
