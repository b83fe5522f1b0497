"""Search of LightGBM parameters on the users held out for early stopping; no other rows are used.

::

    trial 0            the contract's own parameters
    trials 1, 2, ...   drawn by a tree-structured Parzen estimator (Bergstra et al. 2011) from earlier trials
    a trial            trains until early stopping, or is pruned if its loss after so many trees is above
                       the median of earlier trials
    the lowest loss    gives the parameters of the task

Each trial is an MLflow run nested in the train run, written when it ends::

    train click_30m                  equipoise.inputs = d
    ├── trial 0   FINISHED           equipoise.inputs = d, trial = 0, state = complete
    │     params   the searched parameters          metrics  loss by number of trees, lowest loss, seconds
    └── trial 1   ...

A trial depends only on the seed and on earlier trials, so a killed search continues from its finished trials
on any machine. The result depends on the clock only with a budget of seconds.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import optuna
from lightgbm.callback import CallbackEnv
from mlflow.entities import Metric, Param
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks.contracts.training import Search
from tasks.progress import report
from tasks.stores.runs import INPUTS, PARENT, StepRun
from tasks.training.evidence import BestTrial, SearchSummary

Parameters = Mapping[str, float | int]
Ended = Literal["trials", "seconds", "nothing held out"]
Ranges = Mapping[str, IntDistribution | FloatDistribution]
Train = Callable[[Parameters, Callable[[CallbackEnv], None]], object]
"""Function that trains with some parameters and calls back after each tree."""

STRIDE: Final = 10
"""Trees between two checks for pruning."""

_DRAWN_AT_RANDOM: Final = 8
"""Random trials before the estimator starts; Optuna's default is 10, but budgets here are smaller."""
_NEVER_PRUNED: Final = 4
"""Trials before pruning starts, against their median; the default of ``MedianPruner`` is 5."""
_DEFAULTS: Final[Parameters] = {
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 20,
    "lambda_l2": 0.0,
    "feature_fraction": 1.0,
}
"""LightGBM's defaults for parameters that the contract leaves out."""
_LOG = logging.getLogger("equipoise")
_STEP: Final = "trial"
_CURVE: Final = "loss"
_LOWEST: Final = "lowest_loss"
_SECONDS: Final = "seconds"
_MOST: Final = 1000  # maximum number of trials of a contract


@dataclass(frozen=True)
class Trial:
    """One trial: its parameters and the lowest loss on the held-out users.

    ``parameters`` are the searched ones; ``curve`` is the loss by number of trees, every `STRIDE` trees.
    """

    number: int
    parameters: Parameters
    state: Literal["complete", "pruned"]
    loss: float
    curve: Mapping[int, float]
    seconds: float


@dataclass(frozen=True)
class SearchResult:
    """Result of a search; ``parameters`` are complete, ``best`` is None if no loss was measured."""

    parameters: Parameters
    trials: tuple[Trial, ...]
    best: Trial | None
    ended_by: Ended

    def summary(self) -> SearchSummary:
        """Return the number of trials, the reason why the search ended, and the best trial."""
        best = self.best
        return SearchSummary(
            trials=len(self.trials),
            pruned=sum(tried.state == "pruned" for tried in self.trials),
            ended_by=self.ended_by,
            contract_loss=self.trials[0].loss if self.trials else None,
            best=None
            if best is None
            else BestTrial(number=best.number, loss=best.loss, parameters=dict(best.parameters)),
        )


def search_space(own: Parameters) -> dict[str, IntDistribution | FloatDistribution]:
    """Return the search space, with ranges widened to include the contract's own values.

    Examples
    --------
    >>> search_space({"num_leaves": 500})["num_leaves"]
    IntDistribution(high=500, log=True, low=4, step=1)
    """
    defaults = {**_DEFAULTS, **own}

    def whole(name: str, low: int, high: int) -> IntDistribution:
        value = int(defaults[name])
        return IntDistribution(min(low, value), max(high, value), log=True)

    def real(name: str, low: float, high: float, *, log: bool) -> FloatDistribution:
        value = max(float(defaults[name]), low if log else 0.0)
        return FloatDistribution(min(low, value), max(high, value), log=log)

    return {
        "num_leaves": whole("num_leaves", 4, 255),
        "learning_rate": real("learning_rate", 0.02, 0.3, log=True),
        "min_data_in_leaf": whole("min_data_in_leaf", 5, 2000),
        "lambda_l2": real("lambda_l2", 1e-3, 100.0, log=True),
        "feature_fraction": real("feature_fraction", 0.3, 1.0, log=False),
    }


def search(
    train: Train,
    own: Parameters,
    budget: Search,
    *,
    seed: int = 0,
    before: Sequence[Trial] = (),
    tell: Callable[[Trial], None] = lambda tried: None,
) -> SearchResult:
    """Search until the budget of trials or of seconds is used up.

    Parameters
    ----------
    train : trains with complete parameters and calls back after each tree with the held-out loss.
    own : the contract's parameters: the first trial, which is never pruned.
    before : trials of an interrupted search with the same inputs.
    tell : called with each new trial when it ends.

    Examples
    --------
    >>> tried = []
    >>> budget = Search(trials=1, seconds=60)
    >>> search(lambda parameters, watch: tried.append(parameters), {"num_leaves": 7}, budget).ended_by
    'nothing held out'
    >>> tried
    [{'num_leaves': 7}]
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ranges, tried = search_space(own), _keep_unbroken(before)
    spent, begun = sum(one.seconds for one in tried), time.monotonic()
    while len(tried) < budget.trials:
        report("trial", f"{len(tried) + 1} of {budget.trials}", done=len(tried), of=budget.trials)
        left = budget.seconds - spent - (time.monotonic() - begun)
        if tried and left <= 0:
            return _end_search(own, tried, "seconds")
        trial = _run_trial(train, own, ranges, tried, seed, left)
        if trial is None:
            return _end_search(own, tried, "seconds" if tried else "nothing held out")
        tell(trial)
        tried.append(trial)
    return _end_search(own, tried, "trials")


def _keep_unbroken(before: Sequence[Trial]) -> list[Trial]:
    """Return trials 0, 1, 2, ... up to the first gap, because each trial depends on all earlier ones."""
    by_number = {one.number: one for one in before}
    return [by_number[i] for i in range(len(by_number)) if all(k in by_number for k in range(i + 1))]


def _end_search(own: Parameters, tried: Sequence[Trial], ended_by: Ended) -> SearchResult:
    best = min((one for one in tried if one.state == "complete"), key=lambda one: one.loss, default=None)
    chosen = dict(own) if best is None else _merge_parameters(own, best.number, best.parameters)
    return SearchResult(chosen, tuple(tried), best, ended_by)


def _merge_parameters(own: Parameters, number: int, drawn: Parameters) -> dict[str, float | int]:
    """Return complete parameters; those of the first trial are exactly the contract's."""
    return dict(own) if number == 0 else {**own, **drawn}


class _OutOfTimeError(Exception):
    """The budget of seconds ran out during a trial."""


@dataclass(eq=False)  # LightGBM keeps its callbacks in a set
class _Watch:
    """Tracks the held-out loss, and prunes a trial."""

    trial: optuna.Trial
    until: float
    first: bool
    best: float = float("inf")
    curve: dict[int, float] = field(default_factory=dict)
    order: int = 20  # before LightGBM's early stopping, which raises an exception

    def __call__(self, env: CallbackEnv) -> None:
        for _, _, value, higher_is_better, *_ in env.evaluation_result_list or ():
            loss = -float(value) if higher_is_better else float(value)
            self.best = min(self.best, loss)
            self._note_loss(env.iteration + 1, loss)
            return

    def _note_loss(self, trees: int, loss: float) -> None:
        if trees % STRIDE:
            return
        self.curve[trees] = loss
        self.trial.report(loss, trees)
        if self.first:
            return
        if time.monotonic() > self.until:
            raise _OutOfTimeError
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _run_trial(
    train: Train,
    own: Parameters,
    ranges: Ranges,
    tried: Sequence[Trial],
    seed: int,
    seconds: float,
) -> Trial | None:
    """Run the next trial; None if time ran out during it, or if no loss was measured."""
    number, begun = len(tried), time.monotonic()
    trial = _ask_trial(own, ranges, tried, seed)
    watch = _Watch(trial, begun + seconds, first=number == 0)
    state: Literal["complete", "pruned"] = "complete"
    try:
        train(_merge_parameters(own, number, trial.params), watch)
    except optuna.TrialPruned:
        state = "pruned"
    except _OutOfTimeError:
        return None
    if watch.best == float("inf"):
        return None
    return Trial(number, trial.params, state, watch.best, watch.curve, time.monotonic() - begun)


def _ask_trial(own: Parameters, ranges: Ranges, tried: Sequence[Trial], seed: int) -> optuna.Trial:
    """Draw the next parameters with a new sampler, seeded by the trial's number and given earlier trials."""
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed + len(tried), n_startup_trials=_DRAWN_AT_RANDOM),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=_NEVER_PRUNED, n_warmup_steps=3 * STRIDE, interval_steps=STRIDE
        ),
    )
    study.add_trials([_freeze_trial(one, ranges) for one in tried])
    if not tried:
        defaults = {**_DEFAULTS, **own}  # first the point closest to the contract's own parameters
        study.enqueue_trial({name: max(defaults[name], known.low) for name, known in ranges.items()})
    return study.ask(dict(ranges))


def _freeze_trial(one: Trial, ranges: Ranges) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE if one.state == "complete" else TrialState.PRUNED,
        value=one.loss,
        params=dict(one.parameters),
        distributions=dict(ranges),
        intermediate_values=dict(one.curve),
    )


def run_search(
    run: StepRun, *, task: str, inputs: str, train: Train, own: Parameters, budget: Search
) -> SearchResult:
    """Search a task's parameters, with each trial nested in ``run``; reuse trials of the same inputs."""
    before = _adopt_trials(run, inputs)
    if before:
        _LOG.info("search %s: resumes after %d of %d trials", task, len(before), budget.trials)

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
    """Read the trials of a killed attempt, and nest them in this run."""
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
    """Parse a parameter; ``repr`` writes floats without loss.

    Examples
    --------
    >>> _parse_number("31"), _parse_number("0.1")
    (31, 0.1)
    """
    return int(text) if text.lstrip("-").isdigit() else float(text)
