"""The learning step: learns the utility's weights from the outcomes of finished experiments.

::

    newest read-out of each finished experiment -> changes of every term's outcome, and of the long one
                                                -> `learn_weights`, or the reasons for refusal
                                                -> utility.yaml with the next version, in a separate file

The scale of weights does not change the order: proposed weights are scaled to the size of the current ones,
by the covariance of the errors. The weight of the long outcome and the weights of contexts are unchanged.

Weights of short outcomes are learned by their effect on the long outcome.

::

    X, y      changes of the short outcomes [arms, outcomes] and of the long outcome [arms], against a control
    Om        covariance of the errors of X by user [outcomes, outcomes], the mean over arms
    F_min     smallest eigenvalue of Om^-1 X'X / arms: 1 if X contains only errors
    weights   least squares of y on X through 0, because arms without changes have no effect
    refused   below 8 arms or F_min 3: errors of X would bias the weights
    interval  t(arms - outcomes) times the standard deviation of fits with random weights of the arms (the
              Bayesian bootstrap), times sqrt(arms / (arms - outcomes))

Percentiles of those fits are too narrow for few arms. A regression over users is no substitute, because
active users have more of every outcome. ``python -m benchmarks.experiment_weights`` prints their errors.

Rubin (1981), "The Bayesian bootstrap".
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.special import stdtrit

from tasks.arrays import Floats
from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.experiment import outcome_of
from tasks.contracts.metrics import Metric, MetricKind
from tasks.errors import ContractError, DataError, unknown
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.evidence import (
    NO_OUTCOMES,
    LearnedTerm,
    LearningRow,
    OutcomeChanges,
    ReadState,
    WeightLearning,
)
from tasks.experiments.results import newest_by_version, surface_experiments
from tasks.stores.runs import StepRun
from tasks.stores.steps import Done, Step
from tasks.stores.workspace import Workspace, format_instant, refuse_future
from tasks.tuning.tune import write_proposal

LEAST_SIGNAL: Final = 3.0
LEAST_ARMS: Final = 8
_REPLICATES: Final = 1000


@dataclass(frozen=True)
class ExperimentWeights:
    """Weights [outcomes] in units of the long outcome per unit of each short outcome, NaN if refused.

    Attributes
    ----------
    weights, low, high : [outcomes], with 95 % intervals. Their common scale does not affect the order.
    signal : F_min, mean square of the changes in the weakest direction divided by the errors' variance.
    arms : number of treatments with a control.
    """

    weights: Floats
    low: Floats
    high: Floats
    signal: float
    arms: int

    @property
    def refused(self) -> bool:
        """Whether arms are too few, or their changes too small, for learning weights."""
        few = self.arms < max(LEAST_ARMS, self.weights.size + 1)
        return few or not self.signal >= LEAST_SIGNAL

    def estimates(self, terms: Iterable[str]) -> dict[str, Estimate | None]:
        """Return each term's weight with its interval, None if refused."""
        return {
            term: None if self.refused else Estimate(float(value), float(low), float(high), self.arms)
            for term, value, low, high in zip(terms, self.weights, self.low, self.high, strict=True)
        }


def learn_weights(short: npt.ArrayLike, long: npt.ArrayLike, covariance: npt.ArrayLike) -> ExperimentWeights:
    """Regress the long outcome's changes on those of the short outcomes, or refuse.

    Parameters
    ----------
    short : [arms, outcomes] changes against each arm's control, in one unit per outcome.
    long : [arms] changes of the long outcome, of the same arms.
    covariance : [outcomes, outcomes] mean user-clustered covariance of the errors of ``short``; invertible.

    Examples
    --------
    >>> short = np.random.default_rng(0).normal(size=(12, 2))
    >>> learned = learn_weights(short, short @ [2.0, -1.0], 0.01 * np.eye(2))
    >>> learned.weights.round(3).tolist(), learned.refused
    ([2.0, -1.0], False)
    >>> learn_weights(short, short @ [2.0, -1.0], np.eye(2)).refused
    True
    """
    x, y, errors = (np.asarray(each, dtype=np.float64) for each in (short, long, covariance))
    _check(x, y, errors)
    arms, outcomes = x.shape
    signal = float(np.linalg.eigvals(np.linalg.solve(errors, x.T @ x / arms)).real.min()) if arms else 0.0
    unknown = np.full(outcomes, np.nan)
    learned = ExperimentWeights(unknown, unknown, unknown, signal, arms)
    if learned.refused:
        return learned
    weights, free = np.asarray(np.linalg.lstsq(x, y)[0], dtype=np.float64), arms - outcomes
    reach = stdtrit(free, 0.975) * np.sqrt(arms / free) * _resample(x, y).std(axis=0)
    return ExperimentWeights(weights, weights - reach, weights + reach, signal, arms)


def _resample(x: Floats, y: Floats) -> Floats:
    """Return weights by replicate; arms drawn with replacement could be fewer than the outcomes."""
    draws = np.random.default_rng(0).exponential(size=(_REPLICATES, len(y)))
    squares = np.einsum("rk,ki,kj->rij", draws, x, x, optimize=True)
    return np.asarray(np.linalg.solve(squares, ((draws * y) @ x)[:, :, None])[:, :, 0])


def _check(x: Floats, y: Floats, errors: Floats) -> None:
    if not (x.ndim == 2 and y.shape == x.shape[:1] and errors.shape == (x.shape[1],) * 2):
        raise DataError(
            f"Short outcomes {x.shape}, long outcome {y.shape} and covariance {errors.shape} do not fit. "
            "Pass [arms, outcomes], [arms] and [outcomes, outcomes]."
        )
    if not all(np.isfinite(each).all() for each in (x, y, errors)):
        raise DataError("A change or a covariance is not finite. Leave out arms without a figure.")
    if np.linalg.matrix_rank(errors, hermitian=True) < len(errors):
        raise DataError("Two short outcomes are the same, or a sum of others. Leave one of them out.")


_DIGITS: Final = 4
_FAR: Final = 100.0
"""Factor of the number of users beyond which it is not a useful recommendation."""


@dataclass(frozen=True)
class LearningWork:
    """Read-outs to learn from, and the long outcome."""

    workspace: Workspace
    as_of: datetime
    long: str
    terms: dict[str, str]
    found: tuple[tuple[LearningRow, OutcomeChanges], ...]

    @property
    def current(self) -> Floats:
        """Current weights of the terms [terms]."""
        weights = self.workspace.contracts.utility.weights
        return np.array([weights[term].weight for term in self.terms])

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """Return the changes of the terms' outcomes, those of the long outcome, and the mean covariance."""
        names, changes, covariances = [*self.terms.values(), self.long], list[Floats](), list[Floats]()
        for row, seen in self.found:
            if row.reason:
                continue
            moved, errors = seen.select(names)
            changes.append(moved)
            covariances.append(errors[:-1, :-1])
        if not changes:
            count = len(self.terms)
            return np.zeros((0, count)), np.zeros(0), np.eye(count)
        all_changes = np.array(changes)
        return all_changes[:, :-1], all_changes[:, -1], np.mean(covariances, axis=0)


def run(workspace: Workspace, *, long: str, as_of: datetime) -> Done[WeightLearning]:
    """Learn weights from the read-outs recorded up to an instant.

    Raises
    ------
    ContractError
        The long outcome is not the rate of a task, or the utility has no other term.
    DataError
        The outcome of a term is a sum of others.
    """
    refuse_future(as_of)
    contracts = workspace.contracts
    task = find_long_task(contracts, long)
    terms = {term: outcome_of(contracts, term) for term in contracts.utility.weights if term != task}
    if not terms:
        raise ContractError(f"utility.yaml has no term but {task}. Choose another long outcome")
    found = tuple(
        one
        for name in surface_experiments(workspace)
        for one in _find_rows(workspace, name, as_of, {*terms.values(), long})
    )
    return LEARN.run(LearningWork(workspace, as_of, long, terms, found))


def find_long_task(contracts: Contracts, long: str) -> str:
    """Return the task whose rate is the long outcome."""
    rates = {Metric(MetricKind.RATE, task).name: task for task in contracts.tasks.tasks}
    if long not in rates:
        raise ContractError(unknown("long outcome", long, rates))
    return rates[long]


def _find_rows(
    workspace: Workspace, name: str, as_of: datetime, wanted: set[str]
) -> Iterator[tuple[LearningRow, OutcomeChanges]]:
    """Yield each version of an experiment with its newest read-out, or the reason why it is left out."""
    newest = newest_by_version(workspace, name, as_of=as_of)
    if not newest:
        yield LearningRow(experiment=name, reason="has no read-out"), NO_OUTCOMES
    for one in newest:
        seen, reason = one.evidence, ""
        missing, read = sorted(wanted - {*seen.outcomes.outcomes}), f"as of {format_instant(seen.as_of)}"
        if seen.state is not ReadState.FINISHED:
            reason = f"{seen.state} {read}"
        elif missing:
            reason = f"{', '.join(missing)} immature or with too few events {read}"
        row = LearningRow(experiment=name, version=seen.experiment_version, run_id=one.run_id, reason=reason)
        yield row, seen.outcomes


def _learn(work: LearningWork, run: StepRun) -> WeightLearning:
    short, long, covariance = work.arrays()
    learned = learn_weights(short, long, covariance)
    refused = tuple(why_refused(work, learned, short, covariance))
    proposed = {} if refused else _scale(work, learned, covariance)
    run.metrics({"signal": learned.signal, "arms": learned.arms})
    names = [f"{row.experiment} (version {row.version})" for row, _ in work.found if not row.reason]
    return write_learning(
        work.workspace,
        run,
        learned.estimates(work.terms),
        proposed,
        why=[
            f"Weights follow the changes of {work.long} in {len(names)} experiments:",
            *(f"  {name}" for name in names),
        ],
        as_of=work.as_of,
        long=work.long,
        experiments=tuple(row for row, _ in work.found),
        signal=learned.signal,
        refused=refused,
    )


def why_refused(
    work: LearningWork, learned: ExperimentWeights, short: Floats, covariance: Floats
) -> Iterator[str]:
    """Yield the reasons why nothing is proposed, with the data that are needed."""
    terms = list(work.terms)
    needed = max(LEAST_ARMS, len(terms) + 1)
    if learned.arms < needed:
        outcomes = ", ".join([*work.terms.values(), work.long])
        yield f"{needed} finished experiments are needed, {learned.arms} have figures of {outcomes}"
    elif not learned.signal >= LEAST_SIGNAL:
        weakest = eigh(short.T @ short / learned.arms, covariance)[1][:, 0]
        term = terms[int(np.argmax(np.abs(weakest) * np.sqrt(np.diag(covariance))))]
        # errors contribute 1 to the signal, and fall with users
        times = (LEAST_SIGNAL - 1) / (learned.signal - 1) if learned.signal > 1 else math.inf
        more = f"have about {times:.2g} times as many users" if times < _FAR else "run longer"
        yield (
            f"the experiments change {term} too little apart from the other terms: F_min is "
            f"{learned.signal:.2g}, {LEAST_SIGNAL:g} is needed. Run experiments that change {term} by "
            f"itself, or that {more}"
        )
    for term, weight, now in zip(terms, learned.weights, work.current, strict=True):
        if weight * now < 0:
            yield (
                f"the learned weight of {term} is {weight:.3g}, against the sign of its weight {now:g}. "
                f"Learn with more experiments that change {term}, or choose another long outcome"
            )


def _scale(work: LearningWork, learned: ExperimentWeights, covariance: Floats) -> dict[str, float]:
    """Return the learned weights with the size of the current ones, rounded to four digits."""
    size, own = (float(each @ covariance @ each) for each in (work.current, learned.weights))
    scaled = learned.weights * math.sqrt(size / own)
    return {term: _round(each) for term, each in zip(work.terms, scaled, strict=True)}


def _round(weight: float) -> float:
    return float(f"{weight:.{_DIGITS}g}")


def step_weights(policy: UtilitySpec, steps: Mapping[str, float], *, where: str) -> dict[str, float]:
    """Return the weights that change by a relative step, rounded to four digits.

    Examples
    --------
    >>> weights = {"click": 1.0, "hide": -5.0, "like": 2.0}
    >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights=weights)
    >>> step_weights(policy, {"click": 0.2, "hide": -0.1, "like": 0.0}, where="the log")
    {'click': 1.2, 'hide': -4.5}
    """
    if strange := sorted(steps.keys() - policy.weights.keys()):
        raise DataError(unknown("weight", strange[0], policy.weights, where=where))
    return {term: _round(policy.weights[term].weight * (1 + step)) for term, step in steps.items() if step}


def write_learning(
    workspace: Workspace,
    run: StepRun,
    learned: Mapping[str, Estimate | None],
    proposed: Mapping[str, float],
    *,
    why: Iterable[str],
    **known: Any,
) -> WeightLearning:
    """Write the proposed weights, if any, to a separate file, and return the document with every term.

    ``why``: lines of a comment in the file. ``known``: the other fields of the document.
    """
    weights = workspace.contracts.utility.weights
    current = {term: weights[term].weight for term in learned}
    after = {**current, **proposed} if proposed else dict.fromkeys(current)
    version, file = None, None
    if proposed:
        head = [f"Proposed by `equipoise experiment learn`, run {run.run_id}.", *why]
        policy, file = write_proposal(workspace, run, proposed, kind="learned", why=head)
        version = policy.version
    terms = tuple(
        LearnedTerm(task=term, current=current[term], learned=one, proposed=after[term])
        for term, one in learned.items()
    )
    return WeightLearning(terms=terms, policy_version=version, file=file, **known)


LEARN: Final = Step(
    name="experiment_learn",
    room="experiments",
    document=WeightLearning,
    inputs=lambda work: {
        "long": work.long,
        "as_of": format_instant(work.as_of),
        "experiments": [row.model_dump(mode="json") for row, _ in work.found],
        "contracts": dict(work.workspace.contracts.digests),
    },
    tags=lambda work: {"as_of": format_instant(work.as_of)},
    function=_learn,
)
