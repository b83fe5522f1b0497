"""One small world on disk, and one large batch in memory, for all tests of this room."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.datasets.world.catalog import draw_catalog, draw_users
from tasks.datasets.world.entities import Batch, Outcomes, Shown, World
from tasks.datasets.world.feed import draw_batch, draw_requests
from tasks.datasets.world.generate import Extras, WorldResult, generate
from tasks.datasets.world.tables import shown_of
from tasks.datasets.world.truth import Chances, behave, chances


@dataclass(frozen=True)
class Made:
    """A generated world, read back."""

    folder: Path
    result: WorldResult

    def table(self, name: str) -> pa.Table:
        files = sorted((self.folder / name).glob("*.parquet")) or [self.folder / f"{name}.parquet"]
        return pa.concat_tables([pq.read_table(file) for file in files])

    def frame(self, name: str) -> pd.DataFrame:
        return self.table(name).to_pandas()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("worlds") / "home_feed"
    result = generate(days=10, requests_per_day=50, seed=11, out=out, extras=Extras(candidate_truth=True))
    return Made(out, result)


@dataclass(frozen=True)
class Drawn:
    """A batch of the eighth day with what came of it; chances and outcomes of the shown rows."""

    world: World
    batch: Batch
    shown: Shown
    chance: Chances
    outcomes: Outcomes

    def rows(self, event: str) -> np.ndarray:
        """The shown rows in which something happened."""
        (kind,) = (e for e in self.outcomes.events if e.event == event)
        return kind.row


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    world = World(5, draw_users(5, 30_000), draw_catalog(5, 16))
    batch = draw_batch(world, 7, 0, draw_requests(world, 7, 8000))
    shown = shown_of(world, batch)
    chance = chances(world, batch).at(shown.row)
    return Drawn(world, batch, shown, chance, behave(world, shown, chance, np.random.default_rng(1)))
