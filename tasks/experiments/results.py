"""Recorded plans and read-outs of experiments, and the experiments of a surface."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tasks.contracts.experiment import ExperimentSpec, experiment_names, experiments_of, load_experiment
from tasks.errors import ContractError, GateRefused
from tasks.experiments.evidence import ExperimentPlan, ExperimentReadout, ReadState
from tasks.stores.steps import Done
from tasks.stores.workspace import Workspace, format_instant

PLAN_STEP: Final = "experiment_plan"
READ_STEP: Final = "experiment_read"
STEPS: Final = (PLAN_STEP, READ_STEP)


@dataclass(frozen=True)
class ListedExperiment:
    """An experiment of a surface, with its newest read-out; None if there is none.

    ``problem`` is the reason why its file is refused; empty if it is valid.
    """

    experiment: str
    starts: str | None
    ends: str | None
    planned: bool
    problem: str
    as_of: str | None
    state: str | None
    decision: str | None


def surface_experiments(workspace: Workspace) -> tuple[str, ...]:
    """Return the names of the experiments whose files name the surface."""
    return experiments_of(workspace.surfaces, workspace.surface)


def running_experiments(workspace: Workspace, *, as_of: datetime) -> tuple[str, ...]:
    """Return the names of planned experiments that have started and have no final read-out."""
    running = []
    for name in surface_experiments(workspace):
        plan, newest = find_plan(workspace, name), newest_readout(workspace, name)
        finished = newest is not None and newest.state is ReadState.FINISHED
        if plan is not None and plan.evidence.starts <= as_of.date() and not finished:
            running.append(name)
    return tuple(running)


def list_experiments(workspace: Workspace) -> list[ListedExperiment]:
    """List a surface's experiments with their newest read-outs."""
    listed = []
    for name in surface_experiments(workspace):
        spec, problem = None, ""
        try:
            spec = load_experiment(workspace.surfaces, name, workspace.contracts)
        except ContractError as error:
            problem = str(error)
        newest, plan = newest_readout(workspace, name), find_plan(workspace, name)
        listed.append(
            ListedExperiment(
                experiment=name,
                starts=None if spec is None else str(spec.starts),
                ends=None if spec is None else str(spec.ends),
                planned=plan is not None and spec is not None and plan.evidence.digest == spec.digest,
                problem=problem,
                as_of=None if newest is None else format_instant(newest.as_of),
                state=None if newest is None else newest.state.value,
                decision=None if newest is None else newest.decision,
            )
        )
    return listed


def find_plan(workspace: Workspace, name: str) -> Done[ExperimentPlan] | None:
    """Return the newest accepted plan of an experiment with its run; None without one."""
    for run_id in workspace.store.runs.recorded(workspace.surface, step=PLAN_STEP, task=name):
        plan = workspace.store.runs.read_evidence(run_id, ExperimentPlan)
        if plan.accepted:
            return Done(run_id, plan, reused=True)
    return None


def newest_readout(workspace: Workspace, name: str) -> ExperimentReadout | None:
    """Return the read-out with the latest instant; None without one."""
    found = (one.evidence for one in _readouts(workspace, name))
    return max(found, key=lambda one: one.as_of, default=None)


def newest_by_version(workspace: Workspace, name: str, *, as_of: datetime) -> list[Done[ExperimentReadout]]:
    """Return the newest read-out up to ``as_of`` of each version of an experiment, with its run."""
    newest: dict[int, Done[ExperimentReadout]] = {}
    for one in _readouts(workspace, name):
        known = newest.get(one.evidence.experiment_version)
        if one.evidence.as_of <= as_of and (known is None or known.evidence.as_of < one.evidence.as_of):
            newest[one.evidence.experiment_version] = one
    return [newest[version] for version in sorted(newest)]


def _readouts(workspace: Workspace, name: str) -> Iterator[Done[ExperimentReadout]]:
    runs = workspace.store.runs
    for run_id in runs.recorded(workspace.surface, step=READ_STEP, task=name):
        yield Done(run_id, runs.read_evidence(run_id, ExperimentReadout), reused=True)


def released_arms(workspace: Workspace) -> Iterator[int]:
    """Yield the releases that are arms of the surface's experiments, by plan or read-out."""
    for name in surface_experiments(workspace):
        if (plan := find_plan(workspace, name)) is not None:
            yield from plan.evidence.arms.values()
        if (readout := newest_readout(workspace, name)) is not None:
            yield from readout.arms.values()


def refuse_change(spec: ExperimentSpec, pinned: ExperimentPlan, *, as_of: datetime) -> None:
    """Refuse a file that differs from the pinned one of an experiment that has started.

    A higher version that starts after the pinned one has ended is another experiment of the same name.

    Raises
    ------
    ContractError
        The file has changed.
    """
    later = spec.version > pinned.experiment_version and spec.starts >= pinned.ends
    if spec.digest == pinned.digest or as_of.date() < pinned.starts or later:
        return
    raise ContractError(
        f"The file of experiment '{spec.experiment}' changed after its start on {pinned.starts}. It has "
        f"version {spec.version}, digest {spec.digest[:12]}; pinned is version {pinned.experiment_version}, "
        f"digest {pinned.digest[:12]}. Restore it, or start another experiment under another name"
    )


def require_ship(workspace: Workspace, name: str, *, release: int) -> None:
    """Refuse an experiment that did not decide to ship a release; names without a file are ignored.

    Raises
    ------
    GateRefused
        The experiment has no read-out, another decision, or another release.
    """
    if name not in experiment_names(workspace.surfaces):
        return
    newest = newest_readout(workspace, name)
    if newest is None:
        raise GateRefused(
            f"Experiment '{name}' has no read-out. Read it: equipoise experiment read {workspace.surface} "
            f"{name}"
        )
    treated = sorted(version for arm, version in newest.arms.items() if arm != "control")
    if newest.decision != "ship":
        reasons = "; ".join(newest.reasons) or newest.state.value
        raise GateRefused(
            f"Experiment '{name}' decided {newest.decision} as of {format_instant(newest.as_of)}, not ship: "
            f"{reasons}"
        )
    if release not in treated:
        raise GateRefused(
            f"Experiment '{name}' decided on release {treated[0]}, not on release {release}. Name the "
            "experiment of this release, or promote that one"
        )
