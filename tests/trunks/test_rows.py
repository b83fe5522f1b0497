"""Streamed rows as records: what is learned from which rows, chains joined, each row once an epoch."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.contracts.training import Trunk
from tasks.errors import DataError
from tasks.trunks.rows import (
    Spool,
    TrunkRows,
    TrunkTask,
    add_up,
    count_positives,
    fit_inputs,
    quantile_grid,
    write_spool,
)
from tests.trunks.feeds import BUY, CLICK, FEATURES

NAN = np.nan
SHOWN = pa.table(
    {
        "price": [1.0, 2.0, None, 4.0, 9.0],
        "aisle": ["tea", "jam", None, "tea", "rye"],
        "user": [7, 7, 8, None, 9],
        "click": [1.0, 0.0, 1.0, None, 1.0],
        "buy": [1.0, None, None, None, 0.0],
        "held_out": [False, False, False, False, True],
    }
)


def learn(table: pa.Table, folder: Path, *tasks: TrunkTask, **changes: object) -> Spool:
    rows = TrunkRows(FEATURES, lambda: (table[:2], table[2:]))
    trunk = Trunk.model_validate({"tasks": [task.name for task in tasks], **changes})
    return write_spool(rows.tables, fit_inputs(rows, trunk), tasks, folder)


def labels(spool: Spool, file: Path) -> list[list[float]]:
    """Return the labels of each record, -1 where a task does not learn from it."""
    (records,) = spool.chunks(file, 100)
    return np.where(records["weights"] > 0, records["labels"], -1).tolist()


def change(table: pa.Table, column: str, values: list[float | None]) -> pa.Table:
    kept = [name for name in table.column_names if name != column]
    return table.select(kept).append_column(column, pa.array(values, pa.float64()))


def test_values_of_held_out_rows_and_rare_ids_are_unknown() -> None:
    rows = TrunkRows(FEATURES, lambda: [SHOWN])
    inputs = fit_inputs(rows, Trunk(tasks=("click",), ids={"user": 4}, rows_per_id=2))
    assert inputs.encoder.categories == {"aisle": ("jam", "tea"), "user": ("7",)}


def test_an_id_that_is_a_feature_too_is_an_id() -> None:
    rows = TrunkRows(FEATURES, lambda: [SHOWN])
    inputs = fit_inputs(rows, Trunk(tasks=("click",), ids={"aisle": 4}, rows_per_id=2))
    assert inputs.encoder.categories == {"aisle": ("tea",)}


def test_quantiles_are_mapped_to_a_uniform_distribution_of_mean_0_and_variance_1() -> None:
    values = np.random.default_rng(1).exponential(size=(4000, 1))
    knots, grid = quantile_grid(values)
    scaled = np.interp(values[:, 0], knots[0], grid[0])
    assert scaled.mean() == pytest.approx(0, abs=0.02)
    assert scaled.std() == pytest.approx(1, abs=0.02)


def test_a_number_that_is_never_there_is_0() -> None:
    knots, grid = quantile_grid(np.full((3, 1), NAN))
    assert not knots.any()
    assert not grid.any()


def test_a_child_is_learned_as_the_joint_event_wherever_that_is_known(tmp_path: Path) -> None:
    spool = learn(SHOWN, tmp_path, CLICK, BUY)
    # clicked and bought; not clicked; clicked, purchase open; nothing known
    assert labels(spool, spool.train) == [[1, 1], [0, 0], [1, -1], [-1, -1]]
    assert labels(spool, spool.fold) == [[1, 0]]


def test_a_child_that_weighs_0_does_not_learn_its_parents_negatives(tmp_path: Path) -> None:
    closed = change(SHOWN, "buy__weight", [1, 0, 0, 1, 1])
    spool = learn(closed, tmp_path, CLICK, BUY)
    assert labels(spool, spool.train) == [[1, 1], [0, -1], [1, -1], [-1, -1]]


def test_totals_undo_the_sampling_of_negatives(tmp_path: Path) -> None:
    sampled = change(SHOWN, "click__offset", [np.log(4)] * 5)
    totals = add_up(learn(sampled, tmp_path, CLICK), [CLICK])
    # 2 positives, and 1 negative that stands for 4
    assert totals.rate == pytest.approx([2 / 6])
    assert (totals.known.tolist(), totals.positives.tolist(), totals.weight.tolist()) == ([3], [2], [0.75])


def test_held_out_positives_are_counted_and_of_a_value_task_its_known_rows(tmp_path: Path) -> None:
    spend = TrunkTask("buy", objective="l2")
    assert count_positives(learn(SHOWN, tmp_path, CLICK, spend), [CLICK, spend]).tolist() == [1, 1]


def test_an_epoch_holds_each_row_once_in_an_order_of_its_own(tmp_path: Path) -> None:
    table = pa.table(
        {
            "price": np.arange(1000.0),
            "aisle": ["tea"] * 1000,
            "click": np.arange(1000) % 2.0,
            "click__weight": np.arange(1.0, 1001.0),
            "held_out": np.zeros(1000, bool),
        }
    )
    spool = learn(table, tmp_path, CLICK)

    def epoch(number: int) -> list[float]:
        batches = list(spool.batches(rows=30, seed=0, epoch=number))
        assert {len(batch) for batch in batches} == {30}
        return [weight for batch in batches for weight in batch["weights"][:, 0].tolist() if weight]

    first, second = epoch(0), epoch(1)
    assert sorted(first) == sorted(second) == list(range(1, 1001))
    assert first != second
    assert first == epoch(0)


@pytest.mark.parametrize(
    ("task", "column", "values"),
    [
        (CLICK, "click", [2.0, 0.0, 1.0, 0.0, 1.0]),
        (CLICK, "click__weight", [-1.0, 1.0, 1.0, 1.0, 1.0]),
        (TrunkTask("click", objective="tweedie"), "click", [-2.0, 0.0, 1.0, 0.0, 1.0]),
        (TrunkTask("click", objective="l2"), "click", [np.inf, 0.0, 1.0, 0.0, 1.0]),
    ],
)
def test_labels_that_do_not_fit_the_loss_are_refused(
    task: TrunkTask, column: str, values: list[float | None], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="click"):
        learn(change(SHOWN, column, values), tmp_path, task)


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0, 1.0, 0.0], [None] * 5])
def test_a_task_without_both_outcomes_in_the_train_rows_is_refused(
    values: list[float | None], tmp_path: Path
) -> None:
    spool = learn(change(SHOWN, "click", values), tmp_path, CLICK)
    with pytest.raises(DataError, match="Leave it out of the trunk's tasks"):
        add_up(spool, [CLICK])
