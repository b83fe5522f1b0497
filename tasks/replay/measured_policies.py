"""How many policies were measured on the same test days, and the best gain corrected for selection.

::

    tags of a simulation's run     measured_days = 2026-02-16/2026-02-22
                                   measured_policies = 3fe1fbbb46ac,...     a release and a policy each
    E[best of n] = integral of z n phi(z) Phi(z)^(n - 1) dz     standard errors above their common value
                   .56 for 2, 1.54 for 10, 2.75 for 200

Trying policies until one looks good selects by chance as well. A simulation therefore counts every policy
that finished simulations measured on its days, and reports the best gain minus the expected luck of that many
policies. The expectation assumes n equal policies measured independently. Similar policies differ less, so
the subtracted luck is an upper bound.
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
"""Maximum number of runs that one MLflow search returns."""


_GRID: Final = np.linspace(-10.0, 10.0, 8001)


@dataclass(frozen=True)
class BestPolicy:
    """The further policy with the largest gain over the baseline, as a share of the utility."""

    name: str
    gain: float
    gain_without_luck: float


@dataclass(frozen=True)
class Selection:
    """Number of policies measured on the same days, and the expected luck of the best of them.

    Attributes
    ----------
    policies : distinct pairs of release and policy, including those of this simulation.
    luck : expected overestimate of the best of this many equal policies, in standard errors.
    best : None if no further policy has a gain with an interval.
    """

    policies: int
    luck: float
    best: BestPolicy | None


def tag_policies(run: StepRun, days: str, release: int, policies: Iterable[str]) -> None:
    """Tag a simulation's run with the digests of the policies that it measured, the release and the days."""
    measured = (digest({"release": release, "policy": policy})[:12] for policy in policies)
    run.tags({_DAYS: days, _POLICIES: ",".join(dict.fromkeys(measured))})


def count_luck(workspace: Workspace, run_id: str, others: Mapping[str, Sequence[Measured]]) -> Selection:
    """Count the policies that were measured on the days of a finished simulation.

    Parameters
    ----------
    others : metrics of each further policy, as in `SimulationEvidence`.
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
    """Return an estimate minus the expected gain of the best of this many equal policies; NaN where unknown.

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
