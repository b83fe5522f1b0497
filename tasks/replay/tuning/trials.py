"""Trials of weights as MLflow runs below the tune run; a search that was killed goes on from them.

::

    tune                             equipoise.inputs = d
    ├── weights 0   FINISHED         equipoise.inputs = t, trial = 0     t: d without the number of trials
    │     params   the weights       metrics  objective.0, ..., excess.0, ...
    └── weights 1   ...

So more trials of the same search begin where it ended.
"""

import math
import time
from collections.abc import Mapping
from typing import Any, Final

from mlflow.entities import Metric, Param

from tasks.replay.tuning.search import WeightFigures, WeightTrial
from tasks.stores.runs import INPUTS, PARENT, StepRun

_STEP: Final = "weights"
_OBJECTIVE, _EXCESS = "objective", "excess"
MOST_TRIALS: Final = 1000
"""As many as one search of MLflow returns."""


def read_trials(run: StepRun, inputs: str) -> list[WeightTrial]:
    """Read the finished trials of a search, and put them below this run; what was killed is closed."""
    experiment = run.client.get_run(run.run_id).info.experiment_id
    same = f"tags.step = '{_STEP}' and tags.`{INPUTS}` = '{inputs}'"
    for cut in run.client.search_runs([experiment], f"{same} and attributes.status = 'RUNNING'"):
        run.client.set_terminated(cut.info.run_id, "KILLED")
    found = run.client.search_runs(
        [experiment], f"{same} and attributes.status = 'FINISHED'", max_results=MOST_TRIALS
    )
    for one in found:
        run.client.set_tag(one.info.run_id, PARENT, run.run_id)
    return [_read_trial(one) for one in found]


def write_trial(run: StepRun, inputs: str, tried: WeightTrial) -> None:
    """Write a trial as a run of its own."""
    now = int(time.time() * 1000)
    made = run.client.create_run(
        run.client.get_run(run.run_id).info.experiment_id,
        run_name=f"weights {tried.number}",
        tags={"step": _STEP, INPUTS: inputs, PARENT: run.run_id, "trial": str(tried.number)},
    )
    figures = {f"{_OBJECTIVE}.{i}": each for i, each in enumerate(tried.figures.objectives)}
    figures |= {f"{_EXCESS}.{i}": each for i, each in enumerate(tried.figures.excess)}
    metrics = [Metric(name, value, now, 0) for name, value in figures.items()]
    params = [Param(term, repr(weight)) for term, weight in tried.weights.items()]
    run.client.log_batch(made.info.run_id, metrics=metrics, params=params)
    run.client.set_terminated(made.info.run_id, "FINISHED")


def count_policies(run: StepRun, tuned_days: str) -> tuple[int, int]:
    """Count the policies that finished runs measured on the halves of some days, searching and confirming."""
    experiment = run.client.get_run(run.run_id).info.experiment_id
    wanted = f"tags.step = 'tune' and tags.tuned_days = '{tuned_days}' and attributes.status = 'FINISHED'"
    found = run.client.search_runs([experiment], wanted, max_results=MOST_TRIALS)
    counted = [
        tuple(int(one.data.metrics.get(f"policies.{half}", 0)) for half in ("searched", "confirmed"))
        for one in found
    ]
    return sum(one[0] for one in counted), sum(one[1] for one in counted)


def _read_trial(one: Any) -> WeightTrial:
    metrics: Mapping[str, float] = one.data.metrics
    weights = {term: float(text) for term, text in one.data.params.items()}
    figures = WeightFigures(_numbered(metrics, _OBJECTIVE), _numbered(metrics, _EXCESS))
    return WeightTrial(int(one.data.tags["trial"]), dict(sorted(weights.items())), figures)


def _numbered(metrics: Mapping[str, float], name: str) -> tuple[float, ...]:
    values = [metrics.get(f"{name}.{i}", math.nan) for i in range(len(metrics))]
    return tuple(value for value in values if math.isfinite(value))
