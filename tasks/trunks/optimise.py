"""Steps of a trunk's training: gradients, balance of the tasks, and updates of arrays and tables.

::

    manual, frequency, staged    one gradient of the weighted sum, with the weights of the epoch
    uncertainty                  sum of exp(-s) L + s / 2, where s is learned with the arrays
    gradnorm                     weights follow the norms of the tasks' gradients in the last shared layer
    pcgrad                       one gradient per task; parts that conflict with another are projected away

Arrays are updated by Adam with decoupled weight decay. For tables of ids only the rows in a batch are
updated, each with its own moments and step count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tasks.contracts.training import Trunk
from tasks.ranking.trunk import POSITION_HEAD, TrunkShape, forward, table_of
from tasks.trunks.network import Losses

State = dict[str, Any]
Batch = Mapping[str, Any]

UNKNOWN_SHARE: Final = 0.1
"""Share of the ids of a step that are replaced by the unknown bucket, so that it is learned too."""
LAZY_ROWS: Final = 20_000
"""Number of rows beyond which a category's table is updated like a table of ids."""
_DECAY: Final = 1e-3
"""Weight decay of layers, relative to the learning rate."""
_TABLE_DECAY: Final = 0.2
"""Weight decay of embeddings, relative to the learning rate; tuned with ``benchmarks/trunk_world.py``."""
_ID_RATE: Final = 5.0
"""Learning rate of the tables of ids, relative to that of other arrays: at 1 preferences are barely learned,
at 10 the noise of single rows remains. Tuned with ``benchmarks/trunk_world.py``."""
_POSITION_RATE: Final = 10.0
"""Learning rate of the effects of positions, relative to that of other arrays: at 1 they are barely learned
before the training ends. Tuned with ``benchmarks/trunk_position.py``."""
_FIRST, _SECOND, _SMALL = 0.9, 0.999, 1e-8
"""Adam's decay rates of its two moments, and the term that keeps its quotient finite."""
_GRADNORM_STEP: Final = 0.025
_GRADNORM_POWER: Final = 0.5
"""Step of GradNorm's weights in logs, and exponent that favours slow tasks."""
_LOG_VARIANCE: Final = "balance.log_variance"


@dataclass(frozen=True)
class Steps:
    """The compiled steps of one trunk.

    Attributes
    ----------
    columns : the encoder's categories and ids, in order.
    positioned : [positions, tasks] 1 if a position has an effect; None if no task is positioned.
    base : [tasks] loss of each task at its base rate.
    """

    trunk: Trunk
    shape: TrunkShape
    losses: Losses
    columns: tuple[str, ...]
    positioned: Any
    base: Any

    def begin(self, arrays: Mapping[str, Any]) -> State:
        """Return the state before the first step."""
        sizes = {name: len(arrays[table_of(name)]) for name in self.columns}
        lazy = [table_of(name) for name in sizes if name in self.trunk.ids or sizes[name] > LAZY_ROWS]
        dense = {name: jnp.asarray(array) for name, array in arrays.items() if name not in lazy}
        if self.trunk.balance.method == "uncertainty":
            dense[_LOG_VARIANCE] = jnp.asarray(np.log(2 * self.base))
        tables = {name: jnp.asarray(arrays[name]) for name in lazy}
        empty = {
            "first": {name: np.zeros(table.shape, np.float32) for name, table in tables.items()},
            "second": {name: np.zeros(table.shape, np.float32) for name, table in tables.items()},
            "touched": {name: np.zeros(len(table), np.int32) for name, table in tables.items()},
            "log_weights": np.zeros(len(self.losses.tasks), np.float32),
            "step": np.zeros((), np.int32),
        }
        adam = jax.jit(self._adam(dense).init)(dense)
        return {"dense": dense, "adam": adam, "tables": tables, **jax.tree.map(jnp.asarray, empty)}

    @staticmethod
    def arrays(state: State) -> dict[str, Any]:
        """Return the arrays of the network, by name."""
        return {**{n: a for n, a in state["dense"].items() if n != _LOG_VARIANCE}, **state["tables"]}

    def task_weights(self, state: State, weights: Any) -> Any:
        """Return the factors of the losses at a state, shape [tasks]."""
        match self.trunk.balance.method:
            case "uncertainty":
                return np.exp(-np.asarray(state["dense"][_LOG_VARIANCE]))
            case "gradnorm":
                return np.asarray(weights * jnp.exp(state["log_weights"]))
            case _:
                return np.asarray(weights)

    def _adam(self, dense: Mapping[str, Any]) -> optax.GradientTransformation:
        tables = {name: name.startswith("table.") for name in dense}
        layers = {name: name.startswith(("expert.", "level.")) and name.endswith("weight") for name in dense}
        return optax.chain(
            optax.scale_by_adam(_FIRST, _SECOND, _SMALL),
            optax.add_decayed_weights(_DECAY, layers),
            optax.add_decayed_weights(_TABLE_DECAY, tables),
            optax.masked(optax.scale(_POSITION_RATE), {name: name == POSITION_HEAD for name in dense}),
            optax.scale(-self.trunk.learning_rate),
        )

    @cached_property
    def step(self) -> Callable[[State, Batch, Any], tuple[State, Any]]:
        """Compiled step: state, batch and weights [tasks] -> state and losses [tasks]."""
        return jax.jit(self._step, donate_argnums=0)

    @cached_property
    def lose(self) -> Callable[[Mapping[str, Any], Batch], Any]:
        """Compiled losses [tasks] of a batch under arrays, by name."""
        return jax.jit(lambda arrays, batch: self._losses(arrays, {}, batch, batch["rows"]))

    @cached_property
    def lose_base(self) -> Callable[[Any, Batch], Any]:
        """Compiled losses [tasks] of a batch if every output is the bias [tasks]."""
        return jax.jit(lambda bias, batch: self.losses(jnp.broadcast_to(bias, batch["labels"].shape), batch))

    @cached_property
    def gradients(self) -> Callable[[Mapping[str, Any], Batch], Any]:
        """Compiled inner products [tasks, tasks] of the tasks' gradients in shared arrays."""

        def products(arrays: Mapping[str, Any], batch: Batch) -> Any:
            shared, rest = split_shared(arrays)
            of = jax.jacrev(lambda own: self._losses({**rest, **own}, {}, batch, batch["rows"]))(shared)
            flat = _flatten(of, len(self.losses.tasks))
            return flat @ flat.T

        return jax.jit(products)

    def _step(self, state: State, batch: Batch, weights: Any) -> tuple[State, Any]:
        key = jax.random.fold_in(jax.random.key(self.trunk.seed), state["step"])
        rows = self._drop_ids(batch["rows"], key)
        looked_up = {
            table_of(name): rows[:, place]
            for place, name in enumerate(self.columns)
            if table_of(name) in state["tables"]
        }
        vectors = {name: state["tables"][name][at] for name, at in looked_up.items()}
        lose = partial(self._losses, batch=batch, rows=rows)
        losses, (dense, sparse), log_weights = self._differentiate(lose, state, vectors, weights, key)
        updates, adam = self._adam(state["dense"]).update(dense, state["adam"], state["dense"])
        new = {**state, "step": state["step"] + 1, "adam": adam, "log_weights": log_weights}
        new["dense"] = optax.apply_updates(state["dense"], updates)
        parts = ("tables", "first", "second", "touched")
        changed = {
            name: self._touch([state[part][name] for part in parts], at, sparse[name])
            for name, at in looked_up.items()
        }
        new |= {part: {name: of[k] for name, of in changed.items()} for k, part in enumerate(parts)}
        return new, losses

    def _drop_ids(self, rows: Any, key: Any) -> Any:
        if not self.trunk.ids:
            return rows
        ids = jnp.asarray([name in self.trunk.ids for name in self.columns], bool)
        return jnp.where(ids & jax.random.bernoulli(key, UNKNOWN_SHARE, rows.shape), 0, rows)

    def _losses(
        self, arrays: Mapping[str, Any], looked_up: Mapping[str, Any], batch: Batch, rows: Any
    ) -> Any:
        vectors = {
            name: looked_up[table]
            if (table := table_of(name)) in looked_up
            else arrays[table][rows[:, place]]
            for place, name in enumerate(self.columns)
        }
        out = forward(jnp, self.shape, arrays, batch["numbers"], vectors)
        if self.positioned is not None:
            out = out + (arrays[POSITION_HEAD] * self.positioned)[batch["position"]]
        return self.losses(out, batch)

    def _differentiate(
        self,
        lose: Callable[[Any, Any], Any],
        state: State,
        vectors: Mapping[str, Any],
        weights: Any,
        key: Any,
    ) -> tuple[Any, tuple[Any, Any], Any]:
        """Return losses, gradients of arrays and of looked-up embeddings, and GradNorm's weights."""
        dense, log_weights = state["dense"], state["log_weights"]
        method = self.trunk.balance.method
        if method == "pcgrad":
            return *_project_conflicts(lose, dense, vectors, weights, key), log_weights
        if method == "gradnorm":
            moved = self._gradnorm(lose, state, vectors, weights)
            weights, log_weights = weights * jnp.exp(log_weights), moved

        def total(dense: Any, vectors: Any) -> Any:
            losses = lose(dense, vectors)
            if method == "uncertainty":
                log_variance = dense[_LOG_VARIANCE]
                return (jnp.exp(-log_variance) * losses + log_variance / 2).sum(), losses
            return (weights * losses).sum(), losses

        (_, losses), gradients = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(dense, vectors)
        return losses, gradients, log_weights

    def _gradnorm(self, lose: Callable[[Any, Any], Any], state: State, vectors: Any, weights: Any) -> Any:
        """Return the logs of the weights' factors after one step towards equal training rates."""
        last = len(self.shape.layers) - 1
        name = f"level.{last}.shared.weight" if self.shape.architecture == "ple" else f"expert.{last}.weight"
        dense, log_weights = state["dense"], state["log_weights"]
        of = jax.jacrev(lambda own: lose({**dense, name: own}, vectors))(dense[name])
        own = weights * jnp.exp(log_weights)
        norms = own * jnp.linalg.norm(of.reshape(len(own), -1), axis=1)
        left = lose(dense, vectors) / self.base
        wanted = norms.mean() * (left / left.mean()) ** _GRADNORM_POWER
        moved = log_weights - _GRADNORM_STEP * jnp.sign(norms - wanted)
        scaled = weights * jnp.exp(moved)
        return moved - jnp.log(scaled.sum() / weights.sum())

    def _touch(self, parts: list[Any], rows: Any, gradients: Any) -> tuple[Any, Any, Any, Any]:
        """Return a table, its moments and its step counts after Adam's step on the rows of a batch."""
        table, first, second, touched = parts
        at, inverse = jnp.unique(rows, return_inverse=True, size=len(rows), fill_value=len(table))
        gradient = jnp.zeros_like(gradients).at[inverse].add(gradients)
        own, m, v = (part.at[at].get(mode="fill", fill_value=0) for part in (table, first, second))
        steps = touched.at[at].get(mode="fill", fill_value=0) + 1
        m, v = _FIRST * m + (1 - _FIRST) * gradient, _SECOND * v + (1 - _SECOND) * gradient**2
        unbiased = (1 - _FIRST ** steps[:, None], 1 - _SECOND ** steps[:, None])
        move = (m / unbiased[0]) / (jnp.sqrt(v / unbiased[1]) + _SMALL) + _TABLE_DECAY * own
        new = (own - _ID_RATE * self.trunk.learning_rate * move, m, v, steps)
        return tuple(part.at[at].set(value, mode="drop") for part, value in zip(parts, new, strict=True))


def split_shared(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays that all tasks share, and those of single tasks."""
    own = ("head.", "gate.", "interaction.", "balance.", POSITION_HEAD)
    shared = {
        name: array
        for name, array in arrays.items()
        if not name.startswith(own) and ".own." not in name and not name.endswith("gate.weight")
    }
    return shared, {name: array for name, array in arrays.items() if name not in shared}


def _flatten(gradients: Mapping[str, Any], tasks: int) -> Any:
    """Return the tasks' gradients as rows, shape [tasks, parameters]."""
    return jnp.concatenate([gradients[name].reshape(tasks, -1) for name in sorted(gradients)], axis=1)


def _project_conflicts(
    lose: Callable[[Any, Any], Any], dense: Any, vectors: Any, weights: Any, key: Any
) -> tuple[Any, tuple[Any, Any]]:
    """Return losses, and gradients without conflicts with other tasks, projected in random order."""

    def weighed(dense: Any, vectors: Any) -> Any:
        losses = lose(dense, vectors)
        return weights * losses, losses

    (of, of_vectors), losses = jax.jacrev(weighed, argnums=(0, 1), has_aux=True)(dense, vectors)
    shared, rest = split_shared(of)
    count = len(weights)
    flat = _flatten(shared, count)
    squares = jnp.maximum((flat**2).sum(axis=1), 1e-30)

    def project(own: Any, place: Any, key: Any) -> Any:
        def against(k: Any, left: Any) -> Any:
            other = order[k]
            product = jnp.minimum(left @ flat[other], 0.0)
            return left - jnp.where(other == place, 0.0, product / squares[other]) * flat[other]

        order = jax.random.permutation(key, count)
        return jax.lax.fori_loop(0, count, against, own)

    projected = jax.vmap(project)(flat, jnp.arange(count), jax.random.split(key, count)).sum(axis=0)
    gradients, first = {name: of[name].sum(axis=0) for name in rest}, 0
    for name in sorted(shared):
        size = dense[name].size
        gradients[name] = projected[first : first + size].reshape(dense[name].shape)
        first += size
    return losses, (gradients, {name: vector.sum(axis=0) for name, vector in of_vectors.items()})
