"""Rows of a surface: its logs labelled, cut into its slices, and scored by a model of its train days."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.calibrating.rows import Case, Rows
from tasks.columns import USER_ID, Status, status
from tasks.datasets.complete_journey import import_complete_journey
from tasks.datasets.kuairand import import_kuairand
from tasks.datasets.world.generate import START, generate
from tasks.evaluation.segments import segment_columns
from tasks.labels import build as labels
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.ranking.features import FeatureEncoder
from tasks.settings import Settings
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training.slices import DaySlice, plan_slices

ROOT: Final = Path(__file__).resolve().parents[2]
SHARED: Final = "EQUIPOISE_SHARED_DATA"
_WORLD_DAYS: Final = 70


@dataclass(frozen=True)
class Logged:
    """A surface, the task that is calibrated, and how its logs come about."""

    surface: str
    task: str
    as_of: datetime
    write_logs: Callable[[Path], object]


def shared_data() -> Path:
    """Return the folder of the public data sets: ``EQUIPOISE_SHARED_DATA``, or ../shared/data beside us."""
    return Settings().shared_data


LOGGED: Final[Mapping[str, Logged]] = {
    "kuairand": Logged(
        "short_video",
        "click",
        datetime(2022, 5, 5, tzinfo=UTC),
        lambda logs: import_kuairand(source=shared_data() / "KuaiRand-Pure", out=logs),
    ),
    "home_feed": Logged(
        "home_feed",
        "click_30m",
        datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=_WORLD_DAYS),
        lambda logs: generate(days=_WORLD_DAYS, requests_per_day=400, seed=1, out=logs),
    ),
    "weekly_circular": Logged(
        "weekly_circular",
        "category_visit_7d",
        datetime(2018, 1, 1, tzinfo=UTC),
        lambda logs: import_complete_journey(out=logs),
    ),
}


def logged(name: str) -> Case:
    """Label, train and score; everything is made in a folder that is thrown away."""
    asked = LOGGED[name]
    with tempfile.TemporaryDirectory() as folder:
        workspace, snapshot = label(asked, Path(folder))
        days = snapshot.days().column("ds").to_pylist()
        slices = plan_slices(workspace.contracts, asked.as_of, days, tasks=[asked.task]).tasks[asked.task]
        surface = workspace.contracts.surface
        columns = {*surface.features.names, *segment_columns(surface.segments), USER_ID, asked.task}

        def read(of: DaySlice) -> pd.DataFrame:
            observed = f"{status(asked.task)} = '{Status.OBSERVED}'"
            table = snapshot.read(sorted(columns), first_day=of.first, last_day=of.last, where=observed)
            return table.to_pandas()

        train, calibrate, test = (read(part) for part in (slices.train, slices.calibrate, slices.test))
    encoder = FeatureEncoder.fit(train, surface.features.numeric, surface.features.categorical)
    booster = _trained(encoder.matrix(train), train[asked.task], encoder, surface.lightgbm_for(asked.task))

    def scored(frame: pd.DataFrame) -> Rows:
        return Rows(
            frame[[*segment_columns(surface.segments), USER_ID]].rename(columns={USER_ID: "user"}),
            np.asarray(booster.predict(encoder.matrix(frame), num_threads=1), dtype=np.float64),
            frame[asked.task].to_numpy(dtype=np.float64),
        )

    return Case(name, scored(calibrate), scored(test), surface.segments)


def label(asked: Logged, home: Path) -> tuple[Workspace, Snapshot]:
    """Write a surface's logs into a home and label them."""
    asked.write_logs(home / "logs" / asked.surface)
    workspace = Workspace.open(asked.surface, surfaces=ROOT / "surfaces", home=home)
    built = labels.run(workspace, as_of=asked.as_of)
    return workspace, LabelStore(Store.open(home), asked.surface).snapshot(built.snapshot)


def _trained(
    matrix: np.ndarray, outcomes: "pd.Series[float]", encoder: FeatureEncoder, asked: Mapping[str, float]
) -> lgb.Booster:
    """Train with the surface's parameters, without stopping early."""
    parameters = {k: v for k, v in asked.items() if k not in {"rounds", "early_stopping_rounds"}}
    coded = [encoder.names.index(name) for name in encoder.categorical]
    data = lgb.Dataset(matrix, outcomes.to_numpy(dtype=np.float64), categorical_feature=coded)
    fixed = {"objective": "binary", "verbosity": -1, "num_threads": 1, "seed": 1}
    return lgb.train({**parameters, **fixed}, data, num_boost_round=int(asked["rounds"]))
