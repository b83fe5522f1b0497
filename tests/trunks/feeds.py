"""A small feed that trunks of a few numbers learn from."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.contracts.surface import Features
from tasks.contracts.training import Trunk
from tasks.trunks.rows import TrunkRows, TrunkTask
from tasks.trunks.train import TrainedTrunk, train_trunk

FEATURES = Features(numeric=("price",), categorical=("aisle",))
CLICK, BUY, SPEND = TrunkTask("click"), TrunkTask("buy", parent="click"), TrunkTask("spend", objective="l2")


def feed(rows: int = 1500) -> pa.Table:
    """Return rows of which a higher price means more clicks, and tea more purchases; spend is the price."""
    draw = np.random.default_rng(5)
    price, aisle = draw.normal(size=rows), draw.choice(["tea", "jam"], rows)
    click = draw.random(rows) < 1 / (1 + np.exp(-2 * price))
    buy = np.where(click, draw.random(rows) < np.where(aisle == "tea", 0.7, 0.2), np.nan)
    user, item = draw.integers(0, 9, (2, rows))
    columns = {
        "price": np.where(draw.random(rows) < 0.1, np.nan, price),
        "aisle": aisle,
        "user": user,
        "item": item,
    }
    labels = {"click": click.astype(float), "buy": buy, "spend": 40 + 7 * price}
    return pa.table({**columns, **labels, "held_out": np.arange(rows) >= rows - 400})


def trunk(tasks: tuple[str, ...] = ("click", "buy", "spend"), **changes: object) -> Trunk:
    plain = {
        "tasks": tasks,
        "layers": (16, 8),
        "experts": 2,
        "epochs": 3,
        "batch": 100,
        "learning_rate": 0.01,
    }
    return Trunk.model_validate({**plain, **changes})


def train(table: pa.Table, declared: Trunk, tasks: tuple[TrunkTask, ...], folder: Path) -> TrainedTrunk:
    rows = TrunkRows(FEATURES, lambda: (table[:700], table[700:]))
    return train_trunk(declared, tasks, rows, folder=folder, threads=1)
