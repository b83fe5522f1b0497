"""Offline against online: effects of finished experiments on the changes that the gate had printed.

::

    newest final read-out  ->  effect of a metric                  of the treatment's release
    gate of that release   ->  its replay, if against the control  ->  change of the same metric
    `compare_offline_online` by metric
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.contracts.experiment import CONTROL
from tasks.errors import ContractError, StoreError
from tasks.evaluation.deming import compare_offline_online
from tasks.evaluation.experiment_evidence import ExperimentReadout, ReadState
from tasks.evaluation.release_evidence import GateEvidence
from tasks.evaluation.replay_evidence import SimulationEvidence
from tasks.evaluation.subjects import ALL
from tasks.evaluation.verdicts import Estimate
from tasks.experiments.results import newest_readout, surface_experiments
from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class MetricAgreement:
    """How a metric's effects in experiments follow its changes in replays; see `OfflineOnline`."""

    metric: str
    experiments: int
    slope: Estimate
    intercept: Estimate
    agreeing: float


def compare_experiments(workspace: Workspace) -> list[MetricAgreement]:
    """Compare finished experiments with the gate's replays of their releases, by metric."""
    pairs: dict[str, list[tuple[Estimate, Estimate]]] = {}
    for name in surface_experiments(workspace):
        newest = newest_readout(workspace, name)
        if newest is not None and newest.state is ReadState.FINISHED:
            for metric, offline, online in _pairs(workspace, newest):
                pairs.setdefault(metric, []).append((offline, online))
    return [_compare(metric, seen) for metric, seen in sorted(pairs.items())]


def _compare(metric: str, pairs: list[tuple[Estimate, Estimate]]) -> MetricAgreement:
    offline, online = zip(*pairs, strict=True)
    values, errors = (
        [[getattr(one, name) for one in side] for side in (offline, online)]
        for name in ("value", "standard_error")
    )
    found = compare_offline_online(*values, *errors)
    return MetricAgreement(metric, len(pairs), found.slope, found.intercept, found.agreeing)


def _pairs(workspace: Workspace, readout: ExperimentReadout) -> Iterator[tuple[str, Estimate, Estimate]]:
    """Yield each metric with its change in the replay and its effect in the experiment."""
    treatment = next(release for arm, release in readout.arms.items() if arm != CONTROL)
    printed = _read_changes(workspace, treatment, against=readout.arms[CONTROL])
    for one in readout.metrics:
        offline, online = printed.get(one.metric), one.change
        if offline is not None and online is not None and online.known:
            yield one.metric, offline, online


def _read_changes(workspace: Workspace, release: int, *, against: int) -> dict[str, Estimate]:
    """Return the changes of a release's replay by metric; none where the gate replayed it against another."""
    runs = workspace.store.runs
    gate = runs.newest(workspace.surface, step="gate", release=release)
    if gate is None:
        return {}
    try:
        run = runs.read_evidence(gate, GateEvidence).runs.simulation
        replay = runs.read_evidence(run, SimulationEvidence)
    except (ContractError, StoreError):
        return {}
    if replay.champion != against:
        return {}
    return {
        one.subject.name: one.relative
        for one in replay.measured
        if one.segment == ALL and one.relative is not None and one.relative.known
    }
