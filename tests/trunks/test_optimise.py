"""Updates by hand: rows of tables as Adam updates them, conflicting gradients, weights that follow norms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tasks.ranking.trunk import TrunkShape
from tasks.trunks import optimise
from tasks.trunks.network import Losses
from tasks.trunks.optimise import Steps, split_shared
from tasks.trunks.rows import TrunkTask
from tests.trunks.feeds import trunk

TASKS = (TrunkTask("a"), TrunkTask("b"))


def steps(method: str = "manual", **changes: object) -> Steps:
    shape = TrunkShape("shared_bottom", {"a": "binary", "b": "binary"}, (2,), ())
    declared = trunk(("a", "b"), balance={"method": method}, **changes)
    losses = Losses(TASKS, np.zeros(2), np.ones(2), np.ones(2))
    return Steps(declared, shape, losses, (), None, np.ones(2, np.float32))


def test_the_rows_of_a_batch_are_updated_as_adam_updates_whole_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(optimise, "_TABLE_DECAY", 0.0)
    table = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    gradients = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0]], np.float32)
    rows = np.array([2, 0, 2])
    whole = np.zeros_like(table)
    np.add.at(whole, rows, gradients)
    adam = optax.adam(0.01 * optimise._ID_RATE)
    expected, state = jnp.asarray(table), adam.init(jnp.asarray(table))
    parts = [jnp.asarray(table), *jnp.zeros((2, 3, 2)), jnp.zeros(3, jnp.int32)]
    for _ in range(3):
        parts = list(steps()._touch(parts, jnp.asarray(rows), jnp.asarray(gradients)))
        moves, state = adam.update(jnp.asarray(whole), state)
        expected = expected + moves
    assert np.asarray(parts[0])[[0, 2]] == pytest.approx(np.asarray(expected)[[0, 2]], abs=1e-6)
    assert np.asarray(parts[0])[1].tolist() == table[1].tolist()
    assert np.asarray(parts[3]).tolist() == [3, 0, 3]


def project(first: list[float], second: list[float]) -> Any:
    """Return the gradient in two shared numbers of two tasks whose losses are linear in them."""
    matrix = jnp.array([first, second])
    key = jax.random.key(0)
    _, (of, _) = optimise._project_conflicts(
        lambda dense, _: matrix @ dense["expert.0.weight"] + dense["head.bias"],
        {"expert.0.weight": jnp.ones(2), "head.bias": jnp.zeros(2)},
        {},
        jnp.ones(2),
        key,
    )
    assert np.asarray(of["head.bias"]).tolist() == [1, 1]
    return np.asarray(of["expert.0.weight"])


def test_conflicting_gradients_lose_what_points_against_the_other() -> None:
    # (1, 0) and (-1, 1): each loses its part along the other, (.5, .5) and (0, 1)
    assert project([1.0, 0.0], [-1.0, 1.0]) == pytest.approx([0.5, 1.5])


def test_gradients_that_agree_are_added() -> None:
    assert project([1.0, 0.0], [1.0, 1.0]) == pytest.approx([2.0, 1.0])


def test_gradnorm_raises_the_weight_of_the_task_whose_gradient_is_small() -> None:
    state = {"dense": {"expert.0.weight": jnp.ones(2)}, "log_weights": jnp.zeros(2)}
    moved = steps("gradnorm")._gradnorm(
        lambda dense, _: jnp.array([10.0, 0.1]) * dense["expert.0.weight"].sum() ** 2 / 20 + jnp.array([0.0, 1.98]),
        state, {}, jnp.ones(2),
    )  # fmt: skip
    assert moved[0] < 0 < moved[1]
    assert float(jnp.exp(moved).sum()) == pytest.approx(2)


def test_experts_and_tables_are_shared_and_heads_are_not() -> None:
    names = [
        "table.user",
        "expert.0.weight",
        "level.0.shared.gate",
        "level.0.own.bias",
        "level.0.gate.weight",
    ]
    shared, own = split_shared(dict.fromkeys([*names, "head.bias", "gate.weight", "interaction.0.weight"], 0))
    assert list(shared) == ["table.user", "expert.0.weight", "level.0.shared.gate"]
    assert len(own) == 5
