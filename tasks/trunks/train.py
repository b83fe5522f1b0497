"""Trains a shared trunk: streamed rows -> epochs with early stopping -> two files of a release.

::

    1  first pass    categories, known ids, quantiles
    2  second pass   records on disk, loss of each task at its base rate
    3  epochs        steps on shuffled batches; then held-out losses, gradient shares, a checkpoint
    4  choice        the epoch with the lowest mean of the tasks' normalized entropies, each relative to its
                     own best; a task with n held-out positives has weight n / (n + 50), because the entropy
                     of few positives is mostly noise
    5  export        arrays as safetensors, their description as JSON

The same rows, trunk, device and number of threads give the same bytes, even after a kill, because training
resumes from the last checkpoint in its folder. Different numbers of threads give different bytes.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from tasks.arrays import Floats
from tasks.contracts import canonical_json, digest
from tasks.contracts.training import Trunk
from tasks.errors import ContractError
from tasks.progress import part, report
from tasks.ranking.trunk import ARRAYS, DESCRIPTION, GRID, KNOTS, POSITION_HEAD, TrunkModel, TrunkShape
from tasks.stores.files import replaced
from tasks.trunks.network import Losses, first_arrays
from tasks.trunks.optimise import State, Steps
from tasks.trunks.rows import (
    Inputs,
    Records,
    Spool,
    TaskTotals,
    TrunkRows,
    TrunkTask,
    add_up,
    count_positives,
    fit_inputs,
    pad_batch,
    write_spool,
)

PATIENCE: Final = 3
"""Number of epochs without improvement after which training ends."""
_PROBED: Final = 1024
"""Number of rows on which gradients are compared, from any day. A Jacobian of many rows would not fit into
memory, and the first rows of a stream may be from days without known labels of some tasks."""
_HALF_TRUSTED: Final = 50
"""Number of held-out positives with which a task has half weight in the choice of the epoch."""
_LAST: Final = "last.json"


@dataclass(frozen=True)
class TrunkEpoch:
    """Figures of an epoch, by task.

    Attributes
    ----------
    held_out : loss on the held-out rows relative to the base rate's; None without known rows.
    train : mean loss of the epoch's steps relative to the base rate's.
    weights : factors of the losses.
    shares : shares of the norms of the tasks' weighted gradients in shared arrays.
    cosines : cosines of pairs of gradients, [tasks, tasks], in the order of the tasks.
    """

    held_out: Mapping[str, float | None]
    train: Mapping[str, float]
    weights: Mapping[str, float]
    shares: Mapping[str, float]
    cosines: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class TrainedTrunk:
    """A trained trunk.

    Attributes
    ----------
    epoch : the kept epoch, an index into ``curves``.
    known, positives : number of train rows with a known label, and with a label above 0, by task.
    held_out : number of rows for early stopping.
    device, threads : device and number of threads of the training; other numbers of threads give other bytes.
    """

    model: TrunkModel
    epoch: int
    curves: tuple[TrunkEpoch, ...]
    known: Mapping[str, int]
    positives: Mapping[str, int]
    rows: int
    held_out: int
    device: str
    threads: int

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Files of a release by name; `TrunkModel.from_files` reads them."""
        trained = {"device": self.device, "threads": self.threads, "epoch": self.epoch}
        content = {**self.model.description(), "trained": trained}
        return {ARRAYS: save(dict(self.model.weights)), DESCRIPTION: canonical_json(content).encode()}


def train_trunk(
    trunk: Trunk,
    tasks: Sequence[TrunkTask],
    rows: TrunkRows,
    *,
    folder: Path,
    reference_position: int = 1,
    threads: int | None = None,
) -> TrainedTrunk:
    """Train a trunk.

    Parameters
    ----------
    tasks : in the order of ``trunk.tasks``.
    rows : the stream, which is read twice, and its features.
    folder : folder of this training only. It keeps records and checkpoints, so that a killed training can
        resume; remove it when the files are stored.
    reference_position : the position at which outputs are predicted.
    threads : number of CPU threads, by default all available; fixed by the process's first training.

    Raises
    ------
    ContractError
        The process already trains with another number of threads.
    DataError
        As in `tasks.trunks.rows.write_spool`.
    """
    device, count = open_device(threads)
    with part("read rows", done=0, of=2):
        inputs = fit_inputs(rows, trunk)
        spool = write_spool(rows.tables, inputs, tasks, folder)
        totals = add_up(spool, tasks)
    training = _Epochs.of(trunk, tuple(tasks), inputs, spool, totals, reference_position)
    asked = [trunk.model_dump(mode="json"), [asdict(task) for task in tasks], reference_position]
    with part("train", done=1, of=2):
        curves = training.run(digest([asked, device, count, jax.__version__, spool.digest]))
    epoch = choose_epoch(curves, training.trust, first=training.first_choice)
    names = [task.name for task in tasks]
    return TrainedTrunk(
        training.export(epoch),
        epoch,
        tuple(curves),
        dict(zip(names, totals.known.astype(int).tolist(), strict=True)),
        dict(zip(names, totals.positives.astype(int).tolist(), strict=True)),
        totals.rows,
        spool.count(spool.fold),
        device,
        count,
    )


_OPENED: dict[str, int] = {}


def open_device(threads: int | None) -> tuple[str, int]:
    """Return the kind of device and the number of threads, which the first call of a process fixes.

    XLA creates as many threads as the process has cores on first use, so the cores are limited meanwhile.
    """
    if not _OPENED:
        allowed = os.sched_getaffinity(0)
        own = sorted(allowed)[: threads or len(allowed)]
        os.sched_setaffinity(0, own)
        kind = jax.devices()[0].device_kind
        jax.block_until_ready(jax.numpy.zeros(1) + 1)
        os.sched_setaffinity(0, allowed)
        _OPENED[kind] = len(own)
    ((kind, count),) = _OPENED.items()
    if threads is not None and threads < count:
        raise ContractError(
            f"This process trains trunks on {count} threads, and {threads} were requested. Start another "
            "process."
        )
    return kind, count


def choose_epoch(curves: Sequence[TrunkEpoch], trust: npt.ArrayLike, *, first: int = 0) -> int:
    """Return the epoch with the lowest mean normalized entropy, each task's relative to its own best.

    It is the last epoch if no task has held-out rows.

    Parameters
    ----------
    trust : [tasks] weight of each task in the mean, from 0 to 1.

    Examples
    --------
    >>> entropies = [{"click": 0.8, "buy": 1.0}, {"click": 0.81, "buy": 0.9}, {"click": 0.9, "buy": 0.89}]
    >>> curves = [TrunkEpoch(held_out, {}, {}, {}, ()) for held_out in entropies]
    >>> choose_epoch(curves, [1.0, 1.0]), choose_epoch(curves, [1.0, 0.0])
    (1, 0)
    """
    table = np.array([list(epoch.held_out.values()) for epoch in curves[first:]], dtype=np.float64)
    known = np.isfinite(table).all(axis=0) & (np.asarray(trust) > 0)
    if not known.any():
        return len(curves) - 1
    relative = table[:, known] / table[:, known].min(axis=0)
    return first + int(np.average(relative, axis=1, weights=np.asarray(trust)[known]).argmin())


@dataclass(frozen=True)
class _Epochs:
    """One training: its steps, data and initial arrays."""

    trunk: Trunk
    tasks: tuple[TrunkTask, ...]
    inputs: Inputs
    spool: Spool
    totals: TaskTotals
    steps: Steps
    arrays: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        trunk: Trunk,
        tasks: tuple[TrunkTask, ...],
        inputs: Inputs,
        spool: Spool,
        totals: TaskTotals,
        reference: int,
    ) -> "_Epochs":
        layers = trunk.layers
        pairs = tuple((one, other) for one, other in trunk.interactions)
        shape = TrunkShape(trunk.architecture, {task.name: task.objective for task in tasks}, layers, pairs)
        mask, bias = _position_mask(spool, tasks, reference), base_outputs(tasks, totals)
        losses = Losses.of(tasks, totals)
        steps = Steps(trunk, shape, losses, tuple(inputs.encoder.categories), mask, None)
        base = _mean_losses(spool, spool.train, losses, lambda batch: steps.lose_base(bias, batch))
        positions = 0 if mask is None else len(mask)
        arrays = first_arrays(trunk, shape, inputs, bias=bias, positions=positions)
        return cls(trunk, tasks, inputs, spool, totals, replace(steps, base=base.astype(np.float32)), arrays)

    @cached_property
    def trust(self) -> Floats:
        """Weight of each task in the choice of the epoch, shape [tasks]."""
        held = count_positives(self.spool, self.tasks)
        return held / (held + _HALF_TRUSTED)

    @property
    def first_choice(self) -> int:
        """First epoch in which every task is trained."""
        return len(self.tasks) - 1 if self.trunk.balance.method == "staged" else 0

    def run(self, fingerprint: str) -> list[TrunkEpoch]:
        """Train until early stopping or the maximum number of epochs; return the figures of each epoch."""
        state = self.steps.begin(self.arrays)
        curves, state = self._resume(state, fingerprint)
        base = _mean_losses(
            self.spool,
            self.spool.fold,
            self.steps.losses,
            lambda batch: self.steps.lose_base(self.arrays["head.bias"], batch),
        )
        while len(curves) < self.trunk.epochs and not self._has_ended(curves):
            epoch = len(curves)
            with part(f"epoch {epoch + 1}", done=epoch, of=self.trunk.epochs):
                state, train = self._train_epoch(state, epoch)
            curves.append(self._measure(state, epoch, train, base))
            self._keep(state, curves, fingerprint)
        return curves

    def _has_ended(self, curves: Sequence[TrunkEpoch]) -> bool:
        first, epochs = self.first_choice, len(curves)
        ripe = epochs > first + PATIENCE
        return ripe and epochs - 1 - choose_epoch(curves, self.trust, first=first) >= PATIENCE

    def _train_epoch(self, state: State, epoch: int) -> tuple[State, Floats]:
        weights, rows = self._weights(epoch), self.trunk.batch
        total, count, of = 0.0, 0, -(-self.totals.rows // rows)
        for records in self.spool.batches(rows=rows, seed=self.trunk.seed, epoch=epoch):
            state, losses = self.steps.step(state, _as_batch(records), weights)
            total, count = total + losses, count + 1
            if count % 100 == 0:
                report(done=count, of=of)
        return state, np.asarray(total, dtype=np.float64) / count

    def _weights(self, epoch: int) -> Any:
        """Return the factors of the losses in an epoch, or the initial values of learned factors, [tasks]."""
        method = self.trunk.balance.method
        if method == "frequency":
            weights = 1 / self.steps.base
            return (weights / weights.mean()).astype(np.float32)
        weights = np.array([task.loss_weight for task in self.tasks], np.float32)
        if method == "staged":
            weights *= np.argsort(np.argsort(-self.totals.positives, kind="stable")) <= epoch
        return weights

    def _measure(self, state: State, epoch: int, train: Floats, base: Floats) -> TrunkEpoch:
        names = [task.name for task in self.tasks]
        arrays, losses = self.steps.arrays(state), self.steps.losses
        lost = _mean_losses(self.spool, self.spool.fold, losses, lambda batch: self.steps.lose(arrays, batch))
        weights = self.steps.task_weights(state, self._weights(epoch))
        products = np.zeros((len(names), len(names)))
        for probed in islice(self.spool.batches(rows=_PROBED, seed=self.trunk.seed, epoch=0), 1):
            products = np.asarray(self.steps.gradients(arrays, _as_batch(probed)), dtype=np.float64)
        norms = np.sqrt(np.maximum(np.diag(products), 1e-30))
        cosines = products / np.outer(norms, norms)
        shares = weights * norms / max(float((weights * norms).sum()), 1e-30)
        entropies = [float(ratio) if np.isfinite(ratio) else None for ratio in lost / base]

        def by_task(values: Floats) -> dict[str, float]:
            return dict(zip(names, map(float, values), strict=True))

        return TrunkEpoch(
            dict(zip(names, entropies, strict=True)),
            by_task(train / self.steps.base),
            by_task(weights),
            by_task(shares),
            tuple(tuple(map(float, row)) for row in cosines),
        )

    def _file(self, kind: str, epoch: int) -> Path:
        return self.spool.folder / f"{kind}-{epoch}.safetensors"

    def _keep(self, state: State, curves: Sequence[TrunkEpoch], fingerprint: str) -> None:
        """Write the epoch's arrays and the state for resuming; the last file completes the checkpoint."""
        epoch = len(curves) - 1
        arrays = {name: np.asarray(array) for name, array in self.steps.arrays(state).items()}
        leaves = {f"{place}": np.asarray(leaf) for place, leaf in enumerate(jax.tree.leaves(state))}
        content = {"fingerprint": fingerprint, "curves": [asdict(one) for one in curves]}
        for file, data in (
            (self._file("epoch", epoch), save(arrays)),
            (self._file("state", epoch), save(leaves)),
            (self.spool.folder / _LAST, json.dumps(content).encode()),
        ):
            with replaced(file) as place:
                place.write_bytes(data)
        self._file("state", epoch - 1).unlink(missing_ok=True)

    def _resume(self, state: State, fingerprint: str) -> tuple[list[TrunkEpoch], State]:
        """Return the epochs of an earlier process and the state after them, if the training is the same."""
        last = self.spool.folder / _LAST
        content = json.loads(last.read_text()) if last.exists() else {}
        if content.get("fingerprint") != fingerprint:
            return [], state
        curves = [TrunkEpoch(**one) for one in content["curves"]]
        leaves = load(self._file("state", len(curves) - 1).read_bytes())
        kept = [jax.numpy.asarray(leaves[f"{place}"]) for place in range(len(leaves))]
        return curves, jax.tree.unflatten(jax.tree.structure(state), kept)

    def export(self, epoch: int) -> TrunkModel:
        """Return the arrays of an epoch, with outputs on the scale of the labels."""
        arrays = dict(load(self._file("epoch", epoch).read_bytes()))
        losses = self.steps.losses
        linear = np.array([task.objective in {"l2", "quantile"} for task in self.tasks])
        scale = np.where(linear, losses.scale, 1.0).astype(np.float32)
        scaled = ("head.", "interaction.", POSITION_HEAD)
        for name in [n for n in arrays if n.startswith(scaled) and not n.endswith("project")]:
            arrays[name] = arrays[name] * scale
        tweedie = [
            np.log(losses.scale[t]) if task.objective == "tweedie" else 0.0
            for t, task in enumerate(self.tasks)
        ]
        arrays["head.bias"] = (arrays["head.bias"] + losses.center + np.array(tweedie)).astype(np.float32)
        arrays |= {KNOTS: self.inputs.knots, GRID: self.inputs.grid}
        return TrunkModel(self.steps.shape, self.inputs.encoder, arrays)


def base_outputs(tasks: Sequence[TrunkTask], totals: TaskTotals) -> Any:
    """Return the outputs that predict each task's base rate for every row, float32 [tasks].

    For a task with a parent they are the log odds given the parent.
    """
    rates = {task.name: float(rate) for task, rate in zip(tasks, totals.rate, strict=True)}
    bias = np.zeros(len(tasks), np.float32)
    for place, task in enumerate(tasks):
        if task.objective == "binary":
            given = min(rates[task.name] / (rates[task.parent] if task.parent else 1.0), 1 - 1e-6)
            bias[place] = np.log(given) - np.log1p(-given)
    return bias


def _position_mask(spool: Spool, tasks: Sequence[TrunkTask], reference: int) -> Any:
    if not any(task.positioned for task in tasks):
        return None
    most = max(int(records["position"].max()) for records in spool.chunks(spool.train, 1 << 18))
    mask = np.tile(np.array([task.positioned for task in tasks], np.float32), (max(most, reference) + 1, 1))
    mask[[0, reference]] = 0
    return mask


def _mean_losses(spool: Spool, file: Path, losses: Losses, of: Any) -> Floats:
    """Return each task's mean loss over the known rows of a file, shape [tasks]; NaN without known rows."""
    lost, weights, rows = np.zeros(len(losses.tasks)), np.zeros(len(losses.tasks)), 1 << 13
    for records in spool.chunks(file, rows):
        batch = pad_batch(records, rows)
        lost += np.asarray(of(_as_batch(batch)), dtype=np.float64) * rows * losses.weight
        weights += records["weights"].sum(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return lost / weights


def _as_batch(records: Records) -> dict[str, Any]:
    return {name: np.ascontiguousarray(records[name]) for name in records.dtype.names or ()}
