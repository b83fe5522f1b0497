"""A shared trunk at serving time: one network that predicts several tasks, in numpy.

::

    numbers  -> interpolated quantiles, 0 if missing, and a flag for missing           |
    categories, ids -> a row of their table; row 0 if missing, rare or unseen          > x [rows, inputs]

    shared_bottom    relu layers of x                                 -> log odds = h w_t + b_t
    mmoe             experts e_k of x, gates softmax(x G_t)           -> log odds = sum of g_tk e_k w_t + b_t
    ple              each layer: shared experts and one of each task's own, mixed by gates on the task's input

    + for each interaction of ids: (a * b) u_t          + for training rows: an offset by position

The forward pass takes the array module as an argument, so training (JAX) and serving (numpy) run the same
code. A trunk has two files: ``trunk.safetensors``, the arrays, and ``trunk.json``, their description.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, StoreError
from .candidates import Floats
from .features import FeatureEncoder

Architecture = Literal["shared_bottom", "mmoe", "ple"]
TrunkObjective = Literal["binary", "l2", "tweedie", "quantile"]
Weights = Mapping[str, npt.NDArray[Any]]

ARRAYS: Final = "trunk.safetensors"
DESCRIPTION: Final = "trunk.json"
KNOTS: Final = "knots"
GRID: Final = "grid"
POSITION_HEAD: Final = "position"
"""Names of arrays: the quantiles of each number, their mapped values, and the position effects."""
_FORMAT: Final = 1
_KINDS: Final[Mapping[str, np.dtype[Any]]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_LENGTH: Final = 8
"""Bytes of the length field at the start of a safetensors file."""


@dataclass(frozen=True)
class TrunkShape:
    """Description of a trunk's arrays, in the order of its tasks.

    Attributes
    ----------
    objectives : task -> its loss, which determines the scale of its output.
    layers : widths of the hidden layers.
    interactions : pairs of columns whose embeddings are multiplied.
    """

    architecture: Architecture
    objectives: Mapping[str, TrunkObjective]
    layers: tuple[int, ...]
    interactions: tuple[tuple[str, str], ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks in the order of the outputs."""
        return tuple(self.objectives)


def table_of(column: str) -> str:
    """Return the name of the array of a column's embeddings.

    Examples
    --------
    >>> table_of("user_id")
    'table.user_id'
    """
    return f"table.{column}"


def forward(
    xp: Any, shape: TrunkShape, weights: Weights, numbers: Any, vectors: Mapping[str, npt.NDArray[Any]]
) -> Any:
    """Return every task's output at the reference position, shape [rows, tasks].

    Parameters
    ----------
    xp : ``numpy`` or ``jax.numpy``.
    numbers : float32 [rows, 2 x numeric], from `scale_numbers`.
    vectors : column -> float32 [rows, size], its embeddings, in the order of the encoder.

    Examples
    --------
    >>> shape = TrunkShape("shared_bottom", {"click": "binary"}, layers=(1,), interactions=())
    >>> arrays = {"expert.0.weight": np.ones((2, 1, 1)), "expert.0.bias": np.zeros((1, 1, 1))}
    >>> arrays |= {"head.weight": np.full((1, 1), 2.0), "head.bias": np.array([-1.0])}
    >>> forward(np, shape, arrays, np.array([[3.0, 0.0], [-3.0, 0.0]]), {})
    array([[ 5.],
           [-1.]])
    """
    x = xp.concatenate([numbers, *vectors.values()], axis=1)
    mix = {"shared_bottom": _shared_bottom, "mmoe": _mixture, "ple": _extraction}[shape.architecture]
    out = mix(xp, shape, weights, x) + weights["head.bias"]
    for place, (one, other) in enumerate(shape.interactions):
        a, b = sorted((vectors[one], vectors[other]), key=lambda vector: int(vector.shape[1]))
        if a.shape[1] < b.shape[1]:
            b = b @ weights[f"interaction.{place}.project"]
        out = out + (a * b) @ weights[f"interaction.{place}.weight"]
    return out


def _experts(xp: Any, shape: TrunkShape, weights: Weights, x: Any) -> Any:
    """Return the last layer of every expert, shape [experts, rows, width]; one matrix product per layer."""
    first = weights["expert.0.weight"]
    wide = x @ first.reshape(first.shape[0], -1)
    h = wide.reshape(len(x), *first.shape[1:]).transpose(1, 0, 2)
    h = xp.maximum(h + weights["expert.0.bias"], 0)
    for layer in range(1, len(shape.layers)):
        h = xp.maximum(h @ weights[f"expert.{layer}.weight"] + weights[f"expert.{layer}.bias"], 0)
    return h


def _shared_bottom(xp: Any, shape: TrunkShape, weights: Weights, x: Any) -> Any:
    return _experts(xp, shape, weights, x)[0] @ weights["head.weight"]


def _mixture(xp: Any, shape: TrunkShape, weights: Weights, x: Any) -> Any:
    """Mix the experts' outputs for each task: a head is linear, so it can be applied before the gates."""
    heads = _experts(xp, shape, weights, x) @ weights["head.weight"]
    return (_gates(xp, weights["gate.weight"], x) * heads.transpose(1, 2, 0)).sum(axis=2)


def _gates(xp: Any, gate: Any, x: Any) -> Any:
    """Return softmax weights, shape [rows, mixtures, experts], of a gate [inputs, mixtures, experts]."""
    raw = (x @ gate.reshape(gate.shape[0], -1)).reshape(len(x), *gate.shape[1:])
    raised = xp.exp(raw - raw.max(axis=2, keepdims=True))
    return raised / raised.sum(axis=2, keepdims=True)


def _extraction(xp: Any, shape: TrunkShape, weights: Weights, x: Any) -> Any:
    """Mix the shared experts with each task's own, layer by layer (progressive layered extraction)."""
    shared, own = x, [x] * len(shape.objectives)
    for layer in range(len(shape.layers)):
        name = f"level.{layer}"
        first = weights[f"{name}.shared.weight"]
        common = (shared @ first.reshape(first.shape[0], -1)).reshape(len(x), *first.shape[1:])
        common = xp.maximum(common.transpose(1, 0, 2) + weights[f"{name}.shared.bias"], 0)
        tasks = [
            xp.maximum(h @ weights[f"{name}.own.weight"][t] + weights[f"{name}.own.bias"][t], 0)
            for t, h in enumerate(own)
        ]
        gates = [
            _gates(xp, weights[f"{name}.gate.weight"][t][:, None, :], h)[:, 0] for t, h in enumerate(own)
        ]
        if layer < len(shape.layers) - 1:
            gate = _gates(xp, weights[f"{name}.shared.gate"][:, None, :], shared)[:, 0]
            shared = _blend([*tasks, *common], gate)
        own = [_blend([task, *common], gate) for task, gate in zip(tasks, gates, strict=True)]
    return xp.concatenate([h @ weights["head.weight"][:, [t]] for t, h in enumerate(own)], axis=1)


def _blend(experts: list[Any], gates: Any) -> Any:
    return sum(gates[:, k, None] * expert for k, expert in enumerate(experts))


def scale_numbers(matrix: Floats, weights: Weights) -> npt.NDArray[np.float32]:
    """Return scaled numbers as network inputs, shape [rows, 2 x numeric]: values, then 1 where missing.

    Examples
    --------
    >>> quantiles = {KNOTS: np.array([[0.0, 10.0]]), GRID: np.array([[-1.0, 1.0]])}
    >>> scale_numbers(np.array([[7.5], [np.nan]]), quantiles)
    array([[0.5, 0. ],
           [0. , 1. ]], dtype=float32)
    """
    count = len(weights[KNOTS])
    scaled = np.zeros((len(matrix), 2 * count), dtype=np.float32)
    for place, (knots, grid) in enumerate(zip(weights[KNOTS], weights[GRID], strict=True)):
        values = matrix[:, place]
        missing = np.isnan(values)
        scaled[:, place] = np.where(missing, 0.0, np.interp(values, knots, grid))
        scaled[:, count + place] = missing
    return scaled


def rows_of_tables(codes: Floats) -> npt.NDArray[np.int32]:
    """Return the table row of each code of a `FeatureEncoder`: 0 for NaN.

    Examples
    --------
    >>> rows_of_tables(np.array([0.0, 2.0, np.nan]))
    array([1, 3, 0], dtype=int32)
    """
    return np.where(np.isnan(codes), 0, codes + 1).astype(np.int32)


@dataclass(frozen=True)
class TrunkModel:
    """A trained trunk.

    Attributes
    ----------
    shape : description of the arrays.
    encoder : the columns; ids are among its categories.
    weights : the arrays, by name.
    """

    shape: TrunkShape
    encoder: FeatureEncoder
    weights: Weights

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the trunk predicts."""
        return self.shape.tasks

    @property
    def columns(self) -> tuple[str, ...]:
        """The candidate columns that the trunk needs."""
        return self.encoder.names

    def log_odds(self, frame: pd.DataFrame, *, positions: Floats | None = None) -> dict[str, Floats]:
        """Return the trunk's predictions of candidates, before calibration.

        Parameters
        ----------
        positions : [rows] from 1, for predictions at the items' own positions; NaN and None mean the
            reference position.

        Returns
        -------
        dict
            By task, shape [rows]: the log odds of a binary task (given the parent if the task has one), on
            the scale of all rows; for a value task, the value itself.

        Raises
        ------
        DataError
            A column is missing, of the wrong kind or infinite; an output is not finite.
        """
        matrix = self.encoder.matrix(frame)
        count = len(self.encoder.numeric)
        rows = rows_of_tables(matrix[:, count:])
        vectors = {
            name: self.weights[table_of(name)][rows[:, place]]
            for place, name in enumerate(self.encoder.categories)
        }
        out = forward(np, self.shape, self.weights, scale_numbers(matrix[:, :count], self.weights), vectors)
        if positions is not None:
            effects = self.weights[POSITION_HEAD]
            out = out + effects[position_rows(positions, len(effects))]
        if not np.isfinite(out).all():
            raise DataError("The trunk's output is not finite for some candidates.")
        return {
            task: np.exp(own) if objective == "tweedie" else own
            for (task, objective), own in zip(
                self.shape.objectives.items(), out.T.astype(np.float64), strict=True
            )
        }

    @classmethod
    def read(cls, folder: Path) -> "TrunkModel":
        """Read a trunk from the folder of its two files."""
        return cls.from_files({name: (folder / name).read_bytes() for name in (ARRAYS, DESCRIPTION)})

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "TrunkModel":
        """Read a trunk from the bytes of its two files.

        Raises
        ------
        StoreError
            A file is damaged, or of another format.
        """
        try:
            content = json.loads(files[DESCRIPTION])
            if content["format"] != _FORMAT:
                raise StoreError(f"The trunk's format is {content['format']}; this code reads {_FORMAT}.")
            shape = TrunkShape(
                content["architecture"],
                {entry["task"]: entry["objective"] for entry in content["tasks"]},
                tuple(content["layers"]),
                tuple((one, other) for one, other in content["interactions"]),
            )
            return cls(shape, FeatureEncoder.from_json(content["encoder"]), read_arrays(files[ARRAYS]))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"The files of a trunk cannot be read: {error!r}") from error

    def description(self) -> dict[str, object]:
        """Return the content of ``trunk.json`` as plain JSON."""
        return {
            "format": _FORMAT,
            "architecture": self.shape.architecture,
            "tasks": [{"task": task, "objective": loss} for task, loss in self.shape.objectives.items()],
            "layers": list(self.shape.layers),
            "interactions": [list(pair) for pair in self.shape.interactions],
            "encoder": self.encoder.to_json(),
        }


def position_rows(positions: Floats, known: int) -> npt.NDArray[np.int32]:
    """Return the row of the position head for each position: 0 for NaN, the last row beyond it.

    Examples
    --------
    >>> position_rows(np.array([1.0, 3.0, 9.0, np.nan]), known=5)
    array([1, 3, 4, 0], dtype=int32)
    """
    return np.nan_to_num(np.clip(positions, 0, known - 1), nan=0.0).astype(np.int32)


def read_arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a safetensors file, by name.

    Raises
    ------
    ValueError, KeyError
        The file is damaged, or has numbers other than floats of 32 or 64 bits.

    Examples
    --------
    >>> header = b'{"bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    >>> read_arrays(len(header).to_bytes(8, "little") + header + np.ones(2, "<f4").tobytes())
    {'bias': array([1., 1.], dtype=float32)}
    """
    begin = _LENGTH + int.from_bytes(data[:_LENGTH], "little")
    header = json.loads(data[_LENGTH:begin])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            kind, count = _KINDS[entry["dtype"]], math.prod(entry["shape"])
            first, last = entry["data_offsets"]
            if last - first != count * kind.itemsize:
                raise ValueError(f"array '{name}' holds {last - first} bytes")
            arrays[name] = np.frombuffer(data, kind, count, begin + first).reshape(entry["shape"])
    return arrays
