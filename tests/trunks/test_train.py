"""A trunk trained whole: what it learned, the same bytes again, and numpy equal to JAX."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest

from tasks.contracts.training import Trunk
from tasks.errors import ContractError
from tasks.ranking.trunk import (
    KNOTS,
    POSITION_HEAD,
    TrunkModel,
    forward,
    rows_of_tables,
    scale_numbers,
    table_of,
)
from tasks.trunks import train as module
from tasks.trunks.rows import TrunkTask
from tasks.trunks.train import PATIENCE, TrainedTrunk, TrunkEpoch, choose_epoch, open_device
from tests.trunks.feeds import BUY, CLICK, SPEND, feed, train, trunk

TABLE = feed()
TASKS = (CLICK, BUY, SPEND)
IDS: dict[str, Any] = {"ids": {"user": 4, "item": 3}, "interactions": (("user", "item"),), "rows_per_id": 5}
KINDS: dict[str, dict[str, Any]] = {"shared_bottom": IDS, "mmoe": IDS, "ple": {}}


@pytest.fixture(scope="module", params=list(KINDS))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TrainedTrunk:
    declared = trunk(architecture=request.param, epochs=8, **KINDS[request.param])
    return train(TABLE, declared, TASKS, tmp_path_factory.mktemp("trunk"))


def held_out() -> pa.Table:
    return TABLE.filter(TABLE.column("held_out"))


def test_every_task_is_predicted_better_than_by_its_base_rate(trained: TrainedTrunk) -> None:
    best = trained.curves[trained.epoch].held_out
    assert all(value is not None and value < 0.95 for value in best.values())
    assert (trained.rows, trained.held_out, trained.known["spend"]) == (1100, 400, 1100)


def test_predictions_have_the_level_and_the_order_of_the_outcomes(trained: TrainedTrunk) -> None:
    frame = held_out().to_pandas()
    predicted = trained.model.log_odds(frame)
    clicks = 1 / (1 + np.exp(-predicted["click"]))
    assert clicks.mean() == pytest.approx(frame["click"].mean(), abs=0.09)
    tea = predicted["buy"][frame["aisle"] == "tea"].mean() - predicted["buy"][frame["aisle"] == "jam"].mean()
    assert tea > 1  # 2.2 in truth, given a click
    known = frame["price"].notna()
    assert np.corrcoef(predicted["spend"][known], frame["spend"][known])[0, 1] > 0.9
    assert predicted["spend"].mean() == pytest.approx(40, abs=2)


def test_numpy_scores_as_jax_does(trained: TrainedTrunk) -> None:
    model, frame = TrunkModel.from_files(trained.files), held_out().to_pandas()
    matrix = model.encoder.matrix(frame)
    rows = rows_of_tables(matrix[:, 1:])
    columns = enumerate(model.encoder.categories)
    vectors = {name: jnp.asarray(model.weights[table_of(name)])[rows[:, place]] for place, name in columns}
    numbers = jnp.asarray(scale_numbers(matrix[:, :1], model.weights))
    arrays = {name: jnp.asarray(array) for name, array in model.weights.items() if name != KNOTS}
    expected = np.asarray(forward(jnp, model.shape, arrays, numbers, vectors))
    for place, (task, out) in enumerate(model.log_odds(frame).items()):
        assert out == pytest.approx(expected[:, place], rel=1e-6, abs=2e-6), task


def test_gradients_are_compared_and_weights_reported_each_epoch(trained: TrainedTrunk) -> None:
    for epoch in trained.curves:
        assert sum(epoch.shares.values()) == pytest.approx(1)
        assert np.diag(epoch.cosines) == pytest.approx(1)
        assert epoch.weights == {"click": 1, "buy": 1, "spend": 1}


def short(**changes: object) -> Trunk:
    return trunk(("click", "buy"), architecture="shared_bottom", **changes)


def bytes_of(folder: Path, table: pa.Table = TABLE, **changes: object) -> Mapping[str, bytes]:
    return train(table, short(**changes), (CLICK, BUY), folder).files


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    return bytes_of(tmp_path_factory.mktemp("once"), **IDS)


def test_the_same_rows_give_the_same_bytes_and_another_seed_gives_others(
    once: Mapping[str, bytes], tmp_path: Path
) -> None:
    assert bytes_of(tmp_path / "again", **IDS) == once
    assert bytes_of(tmp_path / "other", seed=1, **IDS) != once


def test_a_training_that_was_killed_goes_on_and_ends_in_the_same_bytes(
    once: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, trained_epochs = module._Epochs._train_epoch, []

    def stop_in_the_last_epoch(self: Any, state: Any, epoch: int) -> Any:
        if epoch == 2 and epoch not in trained_epochs:
            trained_epochs.append(epoch)
            raise KeyboardInterrupt
        trained_epochs.append(epoch)
        return own(self, state, epoch)

    monkeypatch.setattr(module._Epochs, "_train_epoch", stop_in_the_last_epoch)
    with pytest.raises(KeyboardInterrupt):
        bytes_of(tmp_path, **IDS)
    assert bytes_of(tmp_path, **IDS) == once
    assert trained_epochs == [0, 1, 2, 2]


def test_checkpoints_of_other_rows_are_not_continued(once: Mapping[str, bytes], tmp_path: Path) -> None:
    bytes_of(tmp_path, TABLE[100:], **IDS)
    assert bytes_of(tmp_path, **IDS) == once


def test_what_a_masked_label_holds_changes_no_weight(tmp_path: Path) -> None:
    hidden = np.arange(len(TABLE)) % 3 == 0
    weights = pa.array(np.where(hidden, 0.0, 1.0))
    clicks = TABLE.column("click").to_numpy()

    def files(value: float) -> Mapping[str, bytes]:
        place = TABLE.column_names.index("click")
        table = TABLE.set_column(place, "click", pa.array(np.where(hidden, value, clicks)))
        return bytes_of(tmp_path / str(value), table.append_column("click__weight", weights))

    assert files(np.nan) == files(777.0) == files(0.0)


@pytest.mark.parametrize("method", ["frequency", "uncertainty", "gradnorm", "pcgrad", "staged"])
def test_a_method_of_balance_weighs_the_tasks_in_its_own_way(method: str, tmp_path: Path) -> None:
    tasks = (TrunkTask("click", loss_weight=4.0), BUY)
    first, *_, last = train(TABLE, short(balance={"method": method}), tasks, tmp_path).curves
    weights = {
        "frequency": first.weights["buy"]
        > first.weights["click"],  # purchases are rarer, whatever loss_weight
        "uncertainty": last.weights["buy"] > last.weights["click"] > 0.3,
        "gradnorm": sum(last.weights.values()) == pytest.approx(5),
        "pcgrad": last.weights == {"click": 4, "buy": 1},
        "staged": (first.weights, last.weights) == ({"click": 4, "buy": 0}, {"click": 4, "buy": 1}),
    }
    assert weights[method]
    assert last.held_out["click"] is not None
    assert last.held_out["click"] < 0.9


def test_the_effect_of_a_position_is_learned_and_left_out_at_serving(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    places = draw.integers(1, 5, len(TABLE))
    kept = draw.random(len(TABLE)) < 1 / places  # an item at place k is looked at once in k times
    columns = TABLE.select(["price", "aisle", "held_out"]).append_column("position", pa.array(places))
    clicks = np.where(kept, TABLE.column("click").to_numpy(), 0.0)
    table = columns.append_column("click", pa.array(clicks))
    tasks = (TrunkTask("click", positioned=True),)
    model = train(table, trunk(("click",), architecture="shared_bottom", epochs=8), tasks, tmp_path).model
    effects = model.weights[POSITION_HEAD][:, 0]
    assert effects[:2].tolist() == [0, 0]
    assert effects[2] > effects[3] > effects[4]
    assert (effects[2:] < -np.log([2, 3, 4])).all()  # so much of rare clicks, more of frequent ones
    frame = table.to_pandas()
    shown = model.log_odds(frame, positions=places.astype(float))["click"]
    assert shown - model.log_odds(frame)["click"] == pytest.approx(effects[places], abs=1e-5)


def epochs(*held: Mapping[str, float | None]) -> list[TrunkEpoch]:
    return [TrunkEpoch(one, {}, {}, {}, ()) for one in held]


def test_a_task_without_held_out_rows_chooses_no_epoch() -> None:
    assert (
        choose_epoch(epochs({"a": 0.9, "b": None}, {"a": 0.8, "b": None}, {"a": 0.85, "b": None}), [1, 1])
        == 1
    )
    assert choose_epoch(epochs({"a": None}, {"a": None}), [0]) == 1


def test_a_task_of_few_held_out_positives_hardly_moves_the_choice() -> None:
    curves = epochs({"click": 0.90, "report": 0.97}, {"click": 0.89, "report": 1.03})
    assert (choose_epoch(curves, [0.9, 0.9]), choose_epoch(curves, [0.9, 0.06])) == (0, 1)


def test_an_epoch_before_every_task_joined_is_not_chosen() -> None:
    assert choose_epoch(epochs({"a": 0.1}, {"a": 0.9}, {"a": 0.8}), [1], first=1) == 2


def test_training_ends_when_no_later_epoch_is_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module._Epochs, "_measure", lambda self, s, epoch, t, b: epochs({"click": 1.0 + epoch})[0]
    )
    trained = train(TABLE, trunk(("click",), architecture="shared_bottom", epochs=9), (CLICK,), tmp_path)
    assert (trained.epoch, len(trained.curves)) == (0, PATIENCE + 1)


def test_the_number_of_threads_is_fixed_by_the_first_training() -> None:
    assert open_device(1) == open_device(None)
    with pytest.raises(ContractError, match="Start another process"):
        open_device(0)
