"""Learns the utility's weights from users with perturbed weights.

::

    impressions with `factor_<task>` and a known label of the long outcome  ->  `estimate_gradient`, by user
    weight * (1 + size * gradient / steepest gradient)                          for each conclusive gradient
                                                       -> utility.yaml with the next version, separate file

The largest step is the size of the perturbation, so no weight leaves the range that was served. Weights whose
intervals contain 0 are unchanged. Without a conclusive weight nothing is proposed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import pandas as pd

from tasks import columns as c
from tasks.errors import DataError, list_names
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.arms_log import measure_outcomes
from tasks.experiments.evidence import WeightLearning
from tasks.experiments.learn import find_long_task, step_weights, write_learning
from tasks.labels import build
from tasks.labels.snapshot import Snapshot
from tasks.logs.tables import to_frame
from tasks.ope import gradient
from tasks.stores.runs import StepRun
from tasks.stores.steps import Done, Step
from tasks.stores.workspace import Workspace, format_instant, refuse_future

_REWARD: Final = "reward"


@dataclass(frozen=True)
class PerturbedWork:
    """Labels to learn from, since a day, and the long outcome with its task."""

    workspace: Workspace
    as_of: datetime
    long: str
    task: str
    since: date | None
    snapshot: Snapshot


def run(
    workspace: Workspace, *, long: str, as_of: datetime, since: date | None = None
) -> Done[WeightLearning]:
    """Learn weights from the factors that releases logged.

    Parameters
    ----------
    long : the rate that the weights should raise; its label must be known.
    since : first day that counts, such as the first of the perturbation's salt; by default the log's first.

    Raises
    ------
    ContractError
        The long outcome is not the rate of a task.
    DataError
        No impression has factors and a known label, or the factors do not come from one perturbation.
    """
    refuse_future(as_of)
    task = find_long_task(workspace.contracts, long)
    snapshot = build.build_snapshot(workspace, as_of=as_of)
    return PERTURBED.run(PerturbedWork(workspace, as_of, long, task, since, snapshot))


def _learn(work: PerturbedWork, run: StepRun) -> WeightLearning:
    report = gradient.estimate_gradient(_read(work), reward=_REWARD)
    policy = work.workspace.contracts.utility
    proposed = step_weights(policy, _find_steps(report.gradients), where="the log's factors")
    learned = {
        term: Estimate(one.value, one.low, one.high, report.users) for term, one in report.gradients.items()
    }
    run.metrics({"users": report.users, "requests": report.requests})
    return write_learning(
        work.workspace,
        run,
        learned,
        proposed,
        why=_explain(work, report),
        as_of=work.as_of,
        long=work.long,
        source="perturbation",
        experiments=(),
        signal=np.nan,
        refused=() if proposed else (_refuse(report),),
    )


def _find_steps(gradients: dict[str, gradient.WeightGradient]) -> dict[str, float]:
    """Return each weight's relative step in proportion to its gradient; 0 if inconclusive."""
    conclusive = {term for term, one in gradients.items() if one.direction != gradient.INCONCLUSIVE}
    steepest = max((abs(gradients[term].value) for term in conclusive), default=0.0)
    return {
        term: one.size * one.value / steepest if term in conclusive else 0.0
        for term, one in gradients.items()
    }


def _read(work: PerturbedWork) -> pd.DataFrame:
    """Return the examined impressions with factors and a known label: request, user, factors and reward."""
    held, contracts = work.snapshot.schema().names, work.workspace.contracts
    factors = [name for name in held if name.startswith(c.weight_factor(""))]
    if not factors:
        raise DataError(
            f"The impressions have no column {c.weight_factor('')}<task>: no weight was perturbed. Declare "
            "`perturbation` in utility.yaml, and log these columns of the answer"
        )
    links = contracts.tasks.chain(work.task)
    labels = [name for link in links for name in (link, c.status(link))]
    columns = [c.REQUEST_ID, c.USER_ID, *factors, *labels]
    first, has_factors = work.since, " AND ".join(f'"{name}" IS NOT NULL' for name in factors)
    table = work.snapshot.read(columns, first_day=first, where=has_factors)
    frame = to_frame(table)
    frame = frame[frame[c.USER_ID].notna()].reset_index(drop=True)
    events, known = measure_outcomes(frame, {work.long: work.task}, contracts)[work.long]
    found = frame.assign(**{_REWARD: events})[[*columns[:2], *factors, _REWARD]][known > 0]
    if found.empty:
        raise DataError(
            f"No impression has {list_names(factors)} and a known label of {work.task} as of "
            f"{format_instant(work.as_of)}"
        )
    return found


def _explain(work: PerturbedWork, report: gradient.GradientReport) -> Iterator[str]:
    yield (
        f"Weights follow {work.long} of {report.requests:,} requests of {report.users:,} users whose weights "
        "were perturbed."
    )
    yield "10 % more of a weight changes it by a tenth of (95 % by user):"
    for term, one in report.gradients.items():
        yield f"  {term}: {one.value:.3g} ({one.low:.3g} to {one.high:.3g}), {one.direction}"


def _refuse(report: gradient.GradientReport) -> str:
    return (
        f"no gradient's interval excludes 0 with {report.users:,} users: log the perturbation for longer, of "
        "more users or of a larger size"
    )


PERTURBED: Final = Step(
    name="perturbation_learn",
    room="experiments",
    document=WeightLearning,
    inputs=lambda work: {
        "long": work.long,
        "since": None if work.since is None else str(work.since),
        "snapshot": work.snapshot.id,
        "contracts": dict(work.workspace.contracts.digests),
    },
    tags=lambda work: {"as_of": format_instant(work.as_of)},
    function=_learn,
)
