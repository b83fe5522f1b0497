"""Initial arrays of a trunk, and the losses of a batch.

::

    outputs z [rows, tasks]  + position effects  -> joint log odds along chains  + offsets  -> losses [tasks]

Unknown labels are replaced before the loss, because NaN times 0 is NaN in a gradient. The loss of a task is
its mean over the known rows, in expectation: a batch's sum divided by the mean weight of a batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import nn

from tasks.contracts.training import Trunk
from tasks.ranking.trunk import POSITION_HEAD, TrunkShape, table_of
from tasks.trunks.rows import Inputs, TaskTotals, TrunkTask

_EMBEDDING = 0.1
"""Initial standard deviation of embeddings."""
_LEAST = -1e-6
"""Maximum log of a joint probability: beyond it the log odds are not finite in single precision."""


@dataclass(frozen=True)
class Losses:
    """Losses of all tasks as a function of outputs.

    Attributes
    ----------
    center, scale : [tasks] shift and divisor of the labels of value tasks.
    weight : [tasks] mean weight of a train row.
    """

    tasks: tuple[TrunkTask, ...]
    center: Any
    scale: Any
    weight: Any

    @classmethod
    def of(cls, tasks: Sequence[TrunkTask], totals: TaskTotals) -> "Losses":
        """Return the losses of tasks, scaled by statistics of the train rows."""
        center = [
            rate if task.objective in {"l2", "quantile"} else 0.0
            for task, rate in zip(tasks, totals.rate, strict=True)
        ]
        scale = [
            _label_scale(task, *figures)
            for task, *figures in zip(tasks, totals.rate, totals.deviation, strict=True)
        ]
        return cls(tuple(tasks), *(np.asarray(part, np.float32) for part in (center, scale, totals.weight)))

    def __call__(self, out: Any, batch: Mapping[str, Any]) -> Any:
        """Return the loss of every task, shape [tasks].

        Parameters
        ----------
        out : [rows, tasks], position effects included.
        batch : ``labels``, ``weights`` and ``offsets``, each [rows, tasks].
        """
        weights = batch["weights"]
        known = weights > 0
        labels = (jnp.where(known, batch["labels"], 0.0) - self.center) / self.scale
        raw = self._joint(out) + batch["offsets"]
        rows = [_row_loss(task, raw[:, t], labels[:, t]) for t, task in enumerate(self.tasks)]
        lost = jnp.where(known, jnp.stack(rows, axis=1), 0.0)
        return (weights * lost).sum(axis=0) / (len(out) * self.weight)

    def _joint(self, out: Any) -> Any:
        """Return log odds of the joint events of chains, and other outputs unchanged, shape [rows, tasks]."""
        logs: dict[str, Any] = {}
        columns = []
        for place, task in enumerate(self.tasks):
            own = out[:, place]
            if task.objective == "binary":
                logs[task.name] = nn.log_sigmoid(own)
                if task.parent is not None:
                    logs[task.name] = joint = jnp.minimum(logs[task.name] + logs[task.parent], _LEAST)
                    own = joint - jnp.log(-jnp.expm1(joint))
            columns.append(own)
        return jnp.stack(columns, axis=1)


def _label_scale(task: TrunkTask, rate: float, deviation: float) -> float:
    match task.objective:
        case "binary":
            return 1.0
        case "tweedie":
            return float(rate)
        case _:
            return float(deviation) or 1.0


def _row_loss(task: TrunkTask, raw: Any, label: Any) -> Any:
    match task.objective:
        case "binary":
            return jnp.logaddexp(0.0, raw) - label * raw
        case "l2":
            return 0.5 * (raw - label) ** 2
        case "quantile":
            above = label - raw
            return jnp.maximum(task.parameter * above, (task.parameter - 1) * above)
        case "tweedie":
            power = task.parameter
            return jnp.exp((2 - power) * raw) / (2 - power) - label * jnp.exp((1 - power) * raw) / (1 - power)


def first_arrays(
    trunk: Trunk, shape: TrunkShape, inputs: Inputs, *, bias: Any, positions: int
) -> dict[str, Any]:
    """Return the initial arrays, float32 by name; a seed gives the same arrays on every machine.

    Parameters
    ----------
    bias : [tasks] output that predicts the base rate for every row.
    positions : number of rows of the position head, 0 if no task is positioned.
    """
    draw = _Draw(np.random.default_rng([trunk.seed, 1]))
    tables = {
        name: draw.table(len(known), trunk.ids.get(name) or category_size(len(known)))
        for name, known in inputs.encoder.categories.items()
    }
    width = 2 * len(inputs.encoder.numeric) + sum(table.shape[1] for table in tables.values())
    layers = _extraction_layers if trunk.architecture == "ple" else _expert_layers
    arrays = {**{table_of(name): table for name, table in tables.items()}, **layers(draw, trunk, width)}
    count = len(shape.tasks)
    arrays["head.weight"] = draw.matrix(trunk.layers[-1], count)
    arrays["head.bias"] = np.asarray(bias, np.float32)
    for place, (one, other) in enumerate(trunk.interactions):
        small, large = sorted((trunk.ids[one], trunk.ids[other]))
        if small < large:
            arrays[f"interaction.{place}.project"] = draw.matrix(large, small)
        arrays[f"interaction.{place}.weight"] = np.ones((small, count), np.float32)
    if positions:
        arrays[POSITION_HEAD] = np.zeros((positions, count), np.float32)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def category_size(values: int) -> int:
    """Return the embedding size of a category with so many values."""
    return int(min(16, 1 + np.ceil(np.sqrt(values))))


class _Draw:
    """Draws random arrays in a fixed order."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def matrix(self, inputs: int, *shape: int) -> Any:
        """Return normal numbers of variance 2 / inputs, float32 [inputs, ...] (He et al. 2015)."""
        values = self._generator.standard_normal((inputs, *shape), np.float32)
        return values * np.float32(np.sqrt(2 / max(inputs, 1)))

    def stack(self, count: int, inputs: int, width: int) -> Any:
        return np.stack([self.matrix(inputs, width) for _ in range(count)])

    def table(self, values: int, size: int) -> Any:
        """Return an embedding table whose row 0 is for unknown values."""
        table = self._generator.standard_normal((values + 1, size), np.float32) * np.float32(_EMBEDDING)
        table[0] = 0
        return table


def _expert_layers(draw: _Draw, trunk: Trunk, width: int) -> dict[str, Any]:
    experts = 1 if trunk.architecture == "shared_bottom" else trunk.experts
    arrays = {}
    for layer, (inputs, outputs) in enumerate(zip((width, *trunk.layers), trunk.layers, strict=False)):
        stacked = draw.stack(experts, inputs, outputs)
        arrays[f"expert.{layer}.weight"] = stacked.transpose(1, 0, 2) if layer == 0 else stacked
        arrays[f"expert.{layer}.bias"] = np.zeros((experts, 1, outputs), np.float32)
    if trunk.architecture == "mmoe":
        arrays["gate.weight"] = np.zeros((width, len(trunk.tasks), experts), np.float32)
    return arrays


def _extraction_layers(draw: _Draw, trunk: Trunk, width: int) -> dict[str, Any]:
    tasks, experts, arrays = len(trunk.tasks), trunk.experts, {}
    for level, (inputs, outputs) in enumerate(zip((width, *trunk.layers), trunk.layers, strict=False)):
        arrays[f"level.{level}.shared.weight"] = draw.stack(experts, inputs, outputs).transpose(1, 0, 2)
        arrays[f"level.{level}.shared.bias"] = np.zeros((experts, 1, outputs), np.float32)
        arrays[f"level.{level}.own.weight"] = draw.stack(tasks, inputs, outputs)
        arrays[f"level.{level}.own.bias"] = np.zeros((tasks, outputs), np.float32)
        arrays[f"level.{level}.gate.weight"] = np.zeros((tasks, inputs, 1 + experts), np.float32)
        if level < len(trunk.layers) - 1:
            arrays[f"level.{level}.shared.gate"] = np.zeros((inputs, tasks + experts), np.float32)
    return arrays
