"""How many policies were measured on the same test days, and what the best of them gains without its luck.

::

    tags of a simulation's run     measured_days = 2026-02-16/2026-02-22
                                   measured_policies = 3fe1fbbb46ac,...     a release and a policy each
    E[best of n] = integral of z n phi(z) Phi(z)^(n - 1) dz     standard errors above what all are worth
                   .56 of 2, 1.54 of 10, 2.75 of 200

Whoever tries policies until one looks good has chosen by chance, too. So a simulation counts every policy
that finished ones measured on its days, and reports what is left of the best gain without the luck of that
many. The expectation holds for n equal policies that are measured independently. Those that resemble each
other differ less, so what is subtracted is the most that chance alone explains.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import norm

from tasks.contracts import digest
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate
from tasks.stores.runs import StepRun
from tasks.stores.workspace import Workspace

_DAYS: Final = "measured_days"
_POLICIES: Final = "measured_policies"
_MOST_RUNS: Final = 1000
"""As many as one search of MLflow returns."""


_GRID: Final = np.linspace(-10.0, 10.0, 8001)


@dataclass(frozen=True)
class BestPolicy:
    """The further policy that seems to gain most over the baseline: its file, and shares of the utility."""

    name: str
    gain: float
    gain_without_luck: float


@dataclass(frozen=True)
class Selection:
    """How many policies were measured on the same days, and how much luck the best of as many has.

    Attributes
    ----------
    policies : distinct pairs of a release and a policy, those of this simulation included.
    luck : by how many standard errors the best of as many equal policies looks better than it is.
    best : None where no further policy has a gain with an interval.
    """

    policies: int
    luck: float
    best: BestPolicy | None


def tag_policies(run: StepRun, days: str, release: int, policies: Iterable[str]) -> None:
    """Write on a simulation's run which policies, by digest, it measured with a release on which days."""
    measured = (digest({"release": release, "policy": policy})[:12] for policy in policies)
    run.tags({_DAYS: days, _POLICIES: ",".join(dict.fromkeys(measured))})


def count_luck(workspace: Workspace, run_id: str, others: Mapping[str, Sequence[Measured]]) -> Selection:
    """Count the policies that were measured on the days of a finished simulation.

    Parameters
    ----------
    others : what each further policy was measured at, as in `SimulationEvidence`.
    """
    client = workspace.store.client
    run = client.get_run(run_id)
    days = run.data.tags.get(_DAYS, "")
    wanted = f"tags.step = 'simulate' and tags.{_DAYS} = '{days}' and attributes.status = 'FINISHED'"
    found = client.search_runs([run.info.experiment_id], wanted, max_results=_MOST_RUNS)
    tags = [one.data.tags.get(_POLICIES, "") for one in [run, *found]]
    policies = max(1, len({policy for tag in tags for policy in tag.split(",") if policy}))
    return Selection(policies, expected_best(policies), _best(others, policies))


def _best(others: Mapping[str, Sequence[Measured]], policies: int) -> BestPolicy | None:
    gains = {
        name: row.relative
        for name, rows in others.items()
        for row in rows
        if row.subject.metric == MetricKind.OBSERVED_UTILITY
        and row.segment == ALL
        and row.relative is not None
    }
    known = {name: gain for name, gain in gains.items() if math.isfinite(gain.standard_error)}
    if not known:
        return None
    name = max(known, key=lambda one: known[one].value)
    return BestPolicy(name, known[name].value, without_selection(known[name], policies))


def expected_best(policies: int) -> float:
    """Return the expected maximum of independent standard normal draws.

    Parameters
    ----------
    policies : how many draws, at least 1.

    Examples
    --------
    >>> [round(expected_best(n), 2) for n in (1, 2, 10, 200)]
    [0.0, 0.56, 1.54, 2.75]
    """
    if policies < 1:
        raise ValueError(f"{policies} policies: at least one was measured")
    density = policies * np.exp(norm.logpdf(_GRID) + (policies - 1) * norm.logcdf(_GRID))
    return 0.0 if policies == 1 else float(np.trapezoid(_GRID * density, _GRID))


def without_selection(change: Estimate, policies: int) -> float:
    """Return an estimate less what the best of as many equal policies would seem to gain; NaN where unknown.

    Parameters
    ----------
    change : a gain with its 95 % interval.
    policies : as in `expected_best`.

    Examples
    --------
    >>> round(without_selection(Estimate(0.05, 0.05 - 0.0196, 0.05 + 0.0196, 900), 10), 3)
    0.035
    """
    return change.value - expected_best(policies) * change.standard_error
