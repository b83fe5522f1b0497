"""A trunk in numpy: each architecture as plain loops compute it, and files that may be damaged."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

from tasks.errors import DataError, StoreError
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.trunk import (
    ARRAYS,
    DESCRIPTION,
    GRID,
    KNOTS,
    POSITION_HEAD,
    TrunkModel,
    TrunkObjective,
    TrunkShape,
    forward,
    read_arrays,
    scale_numbers,
)

DRAW = np.random.default_rng(3)
OBJECTIVES: dict[str, TrunkObjective] = {"click": "binary", "spend": "tweedie"}
LAYERS = (3, 2)
X = DRAW.normal(size=(5, 4))


def shape(architecture: Any) -> TrunkShape:
    return TrunkShape(architecture, OBJECTIVES, LAYERS, ())


def relu(values: Any) -> Any:
    return np.maximum(values, 0)


def softmax(values: Any) -> Any:
    return np.exp(values) / np.exp(values).sum()


def arrays(*, experts: int) -> dict[str, Any]:
    sizes = {
        "expert.0.weight": (4, experts, 3),
        "expert.0.bias": (experts, 1, 3),
        "expert.1.weight": (experts, 3, 2),
        "expert.1.bias": (experts, 1, 2),
        "gate.weight": (4, 2, experts),
        "head.weight": (2, 2),
        "head.bias": (2,),
    }
    return {name: DRAW.normal(size=size) for name, size in sizes.items()}


def expert(w: Any, k: int, x: Any) -> Any:
    first = relu(x @ w["expert.0.weight"][:, k] + w["expert.0.bias"][k, 0])
    return relu(first @ w["expert.1.weight"][k] + w["expert.1.bias"][k, 0])


def test_a_shared_bottom_is_one_network_with_a_linear_head_a_task() -> None:
    w = arrays(experts=1)
    expected = [expert(w, 0, x) @ w["head.weight"] + w["head.bias"] for x in X]
    assert forward(np, shape("shared_bottom"), w, X, {}) == pytest.approx(np.array(expected))


def test_a_mixture_gives_each_task_its_own_mean_of_the_experts() -> None:
    w = arrays(experts=3)
    expected = np.empty((5, 2))
    for row, x in enumerate(X):
        for task in range(2):
            gates = softmax(x @ w["gate.weight"][:, task])
            mixed = sum(gate * expert(w, k, x) for k, gate in enumerate(gates))
            expected[row, task] = mixed @ w["head.weight"][:, task] + w["head.bias"][task]
    assert forward(np, shape("mmoe"), w, X, {}) == pytest.approx(expected)


def test_extraction_mixes_shared_experts_with_each_tasks_own_in_every_layer() -> None:
    w = {"head.weight": DRAW.normal(size=(2, 2)), "head.bias": DRAW.normal(size=2)}
    for level, (inputs, width) in enumerate([(4, 3), (3, 2)]):
        sizes = {
            "shared.weight": (inputs, 2, width), "shared.bias": (2, 1, width), "own.weight": (2, inputs, width),
            "own.bias": (2, width), "gate.weight": (2, inputs, 3), "shared.gate": (inputs, 4),
        }  # fmt: skip
        w |= {f"level.{level}.{name}": DRAW.normal(size=size) for name, size in sizes.items()}
    expected = np.empty((5, 2))
    for row, x in enumerate(X):
        shared, own = x, [x, x]
        for level in range(2):
            part = {name.removeprefix(f"level.{level}."): array for name, array in w.items()}
            common = [
                relu(shared @ part["shared.weight"][:, k] + part["shared.bias"][k, 0]) for k in range(2)
            ]
            tasks = [relu(own[t] @ part["own.weight"][t] + part["own.bias"][t]) for t in range(2)]
            gates = [softmax(own[t] @ part["gate.weight"][t]) for t in range(2)]
            to_all = softmax(shared @ part["shared.gate"])
            shared = sum(g * e for g, e in zip(to_all, [*tasks, *common], strict=True))
            own = [sum(g * e for g, e in zip(gates[t], [tasks[t], *common], strict=True)) for t in range(2)]
        expected[row] = [own[t] @ w["head.weight"][:, t] + w["head.bias"][t] for t in range(2)]
    assert forward(np, shape("ple"), w, X, {}) == pytest.approx(expected)


def test_an_interaction_adds_a_product_of_two_embeddings_weighed_by_the_task() -> None:
    w = {**arrays(experts=1), "expert.0.weight": DRAW.normal(size=(9, 1, 3))}
    w |= {"interaction.0.project": DRAW.normal(size=(3, 2)), "interaction.0.weight": DRAW.normal(size=(2, 2))}
    user, item = DRAW.normal(size=(5, 3)), DRAW.normal(size=(5, 2))
    plain = forward(np, shape("shared_bottom"), w, X, {"user": user, "item": item})
    crossed = replace(shape("shared_bottom"), interactions=(("user", "item"),))
    both = forward(np, crossed, w, X, {"user": user, "item": item})
    added = (user @ w["interaction.0.project"] * item) @ w["interaction.0.weight"]
    assert both - plain == pytest.approx(added)


def model() -> TrunkModel:
    """Return a trunk of a price and an aisle, whose outputs are sums that a reader can do."""
    single = {name: np.asarray(array, np.float32) for name, array in {
        "table.aisle": [[0.0], [1.0], [5.0]],
        "expert.0.weight": [[[1.0]], [[10.0]], [[100.0]]],
        "expert.0.bias": [[[0.0]]],
        "head.weight": [[1.0, 0.0]],
        "head.bias": [0.0, np.log(3)],
        POSITION_HEAD: [[0.0, 0.0], [0.0, 0.0], [-1.0, 0.0]],
    }.items()}  # fmt: skip
    scaled = {KNOTS: np.array([[0.0, 2.0]]), GRID: np.array([[0.0, 1.0]])}
    encoder = FeatureEncoder(("price",), {"aisle": ("jam", "tea")})
    return TrunkModel(TrunkShape("shared_bottom", OBJECTIVES, (1,), ()), encoder, {**single, **scaled})


CANDIDATES = pd.DataFrame({"price": [1.0, None, 9.0], "aisle": ["tea", "jam", "rye"]})


def test_numbers_are_interpolated_and_an_unknown_value_has_the_row_of_the_unknown() -> None:
    predicted = model().log_odds(CANDIDATES)
    # price, 10 x missing, 100 x embedding: .5 + 500, 10 + 100, 1 + 0
    assert predicted["click"] == pytest.approx([500.5, 110.0, 1.0])
    assert predicted["spend"] == pytest.approx([3.0, 3.0, 3.0])


def test_a_position_counts_only_where_it_is_asked_for() -> None:
    shown = model().log_odds(CANDIDATES, positions=np.array([1.0, 7.0, np.nan]))
    assert shown["click"] == pytest.approx([500.5, 109.0, 1.0])


def test_numbers_beyond_the_quantiles_are_held_at_the_last_one() -> None:
    grid = {KNOTS: np.array([[0.0, 2.0]]), GRID: np.array([[-1.0, 1.0]])}
    scaled = scale_numbers(np.array([[-5.0], [9.0], [np.nan]]), grid)
    assert scaled.tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]


def test_an_output_that_is_not_finite_is_refused() -> None:
    broken = replace(model(), weights={**model().weights, "head.bias": np.array([np.nan, 0], np.float32)})
    with pytest.raises(DataError, match="finite"):
        broken.log_odds(CANDIDATES)


def files() -> dict[str, bytes]:
    return {ARRAYS: save(dict(model().weights)), DESCRIPTION: json.dumps(model().description()).encode()}


def test_a_trunk_is_read_from_its_two_files_as_safetensors_wrote_them() -> None:
    read = TrunkModel.from_files(files())
    assert read.shape == model().shape
    assert read.encoder.same_as(model().encoder)
    assert {name: array.tolist() for name, array in read.weights.items()} == {
        name: array.tolist() for name, array in model().weights.items()
    }
    assert read.columns == ("price", "aisle")


def test_a_damaged_or_foreign_file_is_refused() -> None:
    whole = files()
    cut = {**whole, ARRAYS: whole[ARRAYS][:-4]}
    foreign = {**whole, DESCRIPTION: json.dumps({**model().description(), "format": 9}).encode()}
    integers = {**whole, ARRAYS: save({"a": np.zeros(2, np.int64)})}
    for damaged in (cut, foreign, integers, {ARRAYS: b""}, {**whole, ARRAYS: b"\xff" * 99}):
        with pytest.raises(StoreError):
            TrunkModel.from_files(damaged)


def test_the_names_in_a_file_of_arrays_are_kept() -> None:
    assert set(read_arrays(files()[ARRAYS])) == set(model().weights)
