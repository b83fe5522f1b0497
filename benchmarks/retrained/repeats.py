"""Processor seconds of a retrain by step, and how many rows its heads score more than once.

A row counts as scored again where the same model has been handed the same features before, in whatever step
and as whatever table. A step of its own process has to score what another step scored; within a step nothing
is scored twice.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.progress import listening

Hashes = npt.NDArray[np.uint64]


@dataclass
class StepCost:
    """What a step cost: seconds of the processors, rows scored, and those scored before in the same step."""

    seconds: float = 0.0
    scored: int = 0
    again: int = 0

    @property
    def ratio(self) -> float:
        """Rows scored for each row that had to be; 1 where nothing is scored twice."""
        return self.scored / max(1, self.scored - self.again)


@dataclass
class Watch:
    """Sums seconds and scored rows by step, as the retrain reports that its steps begin."""

    costs: dict[str, StepCost] = field(default_factory=lambda: defaultdict(StepCost))
    step: str = "start"
    began: float = field(default_factory=time.process_time)
    seen: dict[tuple[str, str], Hashes] = field(default_factory=dict)

    def begin(self, words: tuple[str, ...], _: float) -> None:
        """Begin the next step."""
        self.end()
        self.step = words[0]

    def end(self) -> None:
        """Add the seconds since a step began."""
        now = time.process_time()
        self.costs[self.step].seconds += now - self.began
        self.began = now

    def count(self, model: str, features: Any) -> None:
        """Count rows that a model scores; the time that this takes is no step's."""
        began = time.process_time()
        hashes, key = np.unique(hash_rows(features)), (self.step, model)
        known = self.seen.get(key, np.empty(0, np.uint64))
        cost = self.costs[self.step]
        cost.scored += hashes.size
        cost.again += int(np.isin(hashes, known).sum())
        self.seen[key] = np.union1d(known, hashes)
        self.began += time.process_time() - began


def hash_rows(features: Any) -> Hashes:
    """Hash each row of a matrix or an Arrow table, alike in both, shape [rows]."""
    table = isinstance(features, pa.Table)
    columns = features.columns if table else np.asarray(features, dtype=np.float64).T
    factors = np.random.default_rng(0).integers(1, 1 << 63, len(columns), dtype=np.uint64) | np.uint64(1)
    hashes = np.zeros(len(features), dtype=np.uint64)
    for column, factor in zip(columns, factors, strict=True):
        values = np.array(column.to_numpy() if table else column, dtype=np.float64)
        values[np.isnan(values)] = np.nan  # one NaN of the many
        bits = (values + 0.0).view(np.uint64)  # no -0
        hashes = (hashes ^ (bits * factor)) * np.uint64(0x9E3779B97F4A7C15)
    return hashes


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch a retrain in this process."""
    watch, predict = Watch(), lgb.Booster.predict
    models: dict[int, tuple[lgb.Booster, str]] = {}

    def counted(booster: lgb.Booster, data: Any, *positional: Any, **named: Any) -> Any:
        began = time.process_time()
        if id(booster) not in models:
            models[id(booster)] = booster, booster.model_to_string().partition("\nparameters:")[0]
        watch.began += time.process_time() - began
        watch.count(models[id(booster)][1], data)
        return predict(booster, data, *positional, **named)

    lgb.Booster.predict = counted
    try:
        with listening(watch.begin):
            yield watch
        watch.end()
    finally:
        lgb.Booster.predict = predict
