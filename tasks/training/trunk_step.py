"""The training step of a shared trunk: trains one registered network on the rows of several tasks.

::

    rows of its tasks (trunk_rows.py) -> train_trunk (JAX) -> trunk.safetensors, trunk.json
      -> run (learning curves, shares and cosines of gradients, evidence) -> <surface>.trunk.<trunk>

JAX is imported only when a trunk is trained. A killed training resumes from a folder of the home that is
named by the step's inputs.
"""

import importlib.metadata
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from tasks.contracts import Contracts
from tasks.errors import ContractError, DataError
from tasks.evaluation.documents import Document, Section
from tasks.evaluation.evidence import Days
from tasks.ranking.trunk import TrunkModel
from tasks.stores.files import scratch_folder
from tasks.stores.manifest import Part, Role
from tasks.stores.runs import INPUTS, StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.inputs import trunk_inputs
from tasks.training.picture import trunk_figure
from tasks.training.rows import NEWEST
from tasks.training.trainable import require_extra
from tasks.training.trunk_rows import SharedRows
from tasks.trunks.rows import TrunkRows

_LOG = logging.getLogger("equipoise")

LIBRARIES: Final = ("jax", "jaxlib", "optax", "safetensors")
TRAINING: Final = "training.svg"
"""Chart of a trunk's training, in its run."""


class EpochFigures(Section):
    """Figures of one epoch of a trunk by task.

    ``held_out``, ``train``: losses relative to the base rate's; None without held-out rows. ``weights``
    multiply the losses. ``shares`` of the gradient of the shared parameters, and ``cosines`` between the
    tasks' gradients, [tasks, tasks], are for diagnosis: healthy and unhealthy tasks have small shares.
    """

    held_out: dict[str, float | None]
    train: dict[str, float]
    weights: dict[str, float]
    shares: dict[str, float]
    cosines: tuple[tuple[float, ...], ...]


class TrunkEvidence(Document):
    """How a trunk was trained: the days of each task, and the figures of each epoch.

    ``epoch``: the epoch of the kept weights, from 0. ``known``, ``positives``: number of rows that each task
    learned from. Another device or number of ``threads`` gives other bytes.
    """

    document: Literal["trunk"] = "trunk"
    version: Literal[1] = 1
    surface: str
    trunk: str
    tasks: tuple[str, ...]
    as_of: str
    snapshot: str
    contracts: dict[str, str]
    slices: dict[str, dict[str, Days]]
    newest_training_row: str
    libraries: dict[str, str]
    device: str
    threads: int
    epoch: int
    rows: int
    held_out: int
    known: dict[str, int]
    positives: dict[str, int]
    epochs: tuple[EpochFigures, ...]


@dataclass(frozen=True)
class TrainTrunkResult:
    """The trunk's exact version, and its number of epochs."""

    trunk: str
    model: str
    version: int
    sha256: str
    run_id: str
    reused: bool
    epoch: int


@dataclass(frozen=True)
class TrunkVersion:
    """Version of a trunk that a retrain's heads may use; None if there is none, with the reason.

    ``why`` also explains why the trunk is not trained if the champion's is reused.
    """

    trunk: str
    version: int | None
    why: str = ""
    run_id: str = ""


def trunk_name(surface: str, trunk: str) -> str:
    """Return the name of a trunk's registered model."""
    return f"{surface}.trunk.{trunk}"


def require_libraries(contracts: Contracts) -> None:
    """Refuse to train a surface's trunks if JAX is not installed; imports nothing."""
    if trunks := contracts.surface.trunks:
        require_extra(f"{contracts.name} declares trunks ({', '.join(trunks)})", "trunk", LIBRARIES)


def run(
    workspace: Workspace, *, trunk: str, as_of: datetime, snapshot: str, parent_run: str | None = None
) -> TrainTrunkResult:
    """Train one trunk; parameters and errors as in `tasks.training.step.run`.

    Raises
    ------
    ContractError
        There is no such trunk, or JAX is not installed.
    """
    require_libraries(workspace.contracts)
    rows = SharedRows.open(workspace, trunk=trunk, as_of=as_of, snapshot=snapshot)
    done = TRAIN_TRUNK.run(rows, parent_run=parent_run)
    part = done.part
    return TrainTrunkResult(
        trunk, part.name, part.version, part.sha256, done.run_id, done.reused, done.evidence.epoch
    )


def train_or_keep(
    workspace: Workspace,
    *,
    trunk: str,
    planned: Sequence[str],
    as_of: datetime,
    snapshot: str,
    parent_run: str | None = None,
) -> TrunkVersion:
    """Train a trunk if all of its tasks are planned; otherwise, or if it fails, return the champion's.

    Without either, the tasks have only their trees. If none of its tasks is planned, the trunk is not used.
    """
    tasks = workspace.contracts.surface.trunks[trunk].tasks
    missing = [task for task in tasks if task not in planned]
    if len(missing) == len(tasks):
        return TrunkVersion(trunk, None)
    if missing:
        return _champions(workspace, trunk, as_of, f"{', '.join(missing)} is not trained in this run")
    try:
        made = run(workspace, trunk=trunk, as_of=as_of, snapshot=snapshot, parent_run=parent_run)
    except DataError as error:
        return _champions(workspace, trunk, as_of, str(error))
    return TrunkVersion(trunk, made.version, run_id=made.run_id)


def _champions(workspace: Workspace, trunk: str, as_of: datetime, why: str) -> TrunkVersion:
    name, fallback = trunk_name(workspace.surface, trunk), workspace.releases.fallback(as_of)
    parts = () if fallback is None else workspace.releases.tested(fallback).parts
    held = [part for part in parts if part.role is Role.TRUNK and part.name == name]
    version = max((part.version for part in held if _still_fits(workspace, trunk, part)), default=None)
    kept = (
        "its tasks have their trees alone" if version is None else f"version {version} of the champion stays"
    )
    _LOG.warning("train_trunk: %s is not trained, %s. %s", trunk, kept, why)
    return TrunkVersion(trunk, version, why)


def _still_fits(workspace: Workspace, trunk: str, part: Part) -> bool:
    """Whether an earlier trunk has all currently declared tasks, and reads no other column."""
    surface = workspace.contracts.surface
    spec, model = surface.trunks[trunk], TrunkModel.from_files(workspace.store.registry.files(part))
    return {*spec.tasks} <= {*model.tasks} and {*model.columns} <= {*surface.features.names, *spec.ids}


def _inputs(rows: SharedRows) -> dict[str, Any]:
    return {
        "trunk": rows.trunk,
        "rows": [one.inputs for one in rows.tasks],
        "contracts": trunk_inputs(rows.workspace.contracts, rows.trunk),
        "libraries": _versions(),
    }


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def _tags(rows: SharedRows) -> dict[str, str]:
    digests = rows.workspace.contracts.digests
    return {
        "surface": rows.workspace.surface,
        "trunk": rows.trunk,
        "as_of": format_instant(rows.snapshot.as_of),
        "snapshot": rows.snapshot.id,
        **{f"contract.{kind}": digests[kind] for kind in ("surface", "tasks")},
        NEWEST: rows.newest.isoformat(),
    }


def _train(rows: SharedRows, opened: StepRun) -> Model[TrunkEvidence]:
    from tasks.trunks.train import train_trunk  # noqa: PLC0415 - imports JAX

    rows.snapshot.log_to(opened, context="training")
    contracts = rows.workspace.contracts
    folder = scratch_folder(rows.workspace.home) / "trunks" / opened.known[INPUTS]
    trained = train_trunk(
        rows.spec,
        rows.outputs,
        TrunkRows(contracts.surface.features, rows.stream(folder / "drawn")),
        folder=folder,
        reference_position=contracts.surface.reference_position,
        threads=contracts.surface.engine.threads,
    )
    shutil.rmtree(folder, ignore_errors=True)
    days = {rows.task: {"train": (rows.slices.train.first, rows.slices.train.last)} for rows in rows.tasks}
    evidence = TrunkEvidence(
        surface=rows.workspace.surface,
        trunk=rows.trunk,
        tasks=rows.spec.tasks,
        as_of=format_instant(rows.snapshot.as_of),
        snapshot=rows.snapshot.id,
        contracts={kind: contracts.digests[kind] for kind in ("surface", "tasks")},
        slices=days,
        newest_training_row=rows.newest.isoformat(),
        libraries=_versions(),
        device=trained.device,
        threads=trained.threads,
        epoch=trained.epoch,
        rows=trained.rows,
        held_out=trained.held_out,
        known=dict(trained.known),
        positives=dict(trained.positives),
        epochs=tuple(EpochFigures.model_validate(asdict(one)) for one in trained.curves),
    )
    held_out, shares = ([getattr(one, name) for one in evidence.epochs] for name in ("held_out", "shares"))
    cosines = evidence.epochs[evidence.epoch].cosines
    title = f"{evidence.trunk}: how its tasks were learned"
    opened.text(TRAINING, trunk_figure(held_out, shares, cosines, kept=evidence.epoch, title=title).to_svg())
    params = {name: str(value) for name, value in rows.spec.model_dump(mode="json").items()}
    opened.params(params)
    return Model(
        evidence, trained.files, kind="trunk", params=params, metrics={"epoch": float(trained.epoch)}
    )


TRAIN_TRUNK: Final = ModelStep(
    name="train_trunk",
    room="training",
    without=("reports",),
    document=TrunkEvidence,
    inputs=_inputs,
    tags=_tags,
    task=lambda rows: rows.trunk,
    function=_train,
    model=lambda rows: trunk_name(rows.workspace.surface, rows.trunk),
)


def find_trunk(workspace: Workspace, task: str, version: int) -> Part:
    """Return a version of the trunk that a task belongs to."""
    name = workspace.contracts.surface.trunk_of(task)
    if name is None:
        raise ContractError(
            f"Task '{task}' of {workspace.surface} belongs to no trunk (trunks in surface.yaml)."
        )
    return workspace.store.registry.part(trunk_name(workspace.surface, name), version)
