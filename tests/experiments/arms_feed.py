"""The mini home_feed with an experiment in its log, whose true effects are known.

::

    home_feed    clicks and hides, 40 days of 120 requests; users are in the treatment by a hash of their id
    STARTS       14 days before ENDS; the treatment loses half of its hides, and 4 in 10 of its clicks
                 where ``worse``
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tasks.experiments.evidence import ExperimentReadout, ReadState
from tasks.experiments.results import READ_STEP
from tasks.stores.aliases import release_name
from tasks.stores.runs import StepKey
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.stores.mlflow_home import new_home

NAME = "feed-hides"
STARTS, ENDS = date(2026, 1, 12), date(2026, 1, 30)
READ = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN: dict[str, Any] = {
    "experiment": NAME,
    "version": 1,
    "surface": mini.NAME,
    "owner": "recsys-ranking",
    "arms": {"control": {"release": 1}, "treatment": {"release": 2}},
    "shares": {"control": 0.5, "treatment": 0.5},
    "starts": str(STARTS),
    "ends": str(ENDS),
    "primary": {"metric": "click_30m_rate", "relative_decrease_max": 0.25},
    "guardrails": [
        {"metric": "hide_2d_rate", "relative_increase_max": 0.5, "critical": True},
        {"metric": "latency_p99_ms", "max": 120},
    ],
    "segments": ["user_tenure"],
    "smallest_effect": 0.2,
    "cuped": {"days": 7},
}

Frames = Callable[[pd.DataFrame], pd.DataFrame]


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


@dataclass(frozen=True)
class ArmsFeed:
    """How the log of the experiment differs from a sound one; by default in nothing.

    ``impressions`` changes its rows, ``kept`` is the share of the treated users' events that stay, by name.
    """

    impressions: Frames = same
    kept: Mapping[str, float] = field(default_factory=lambda: {"hide": 0.5})
    plain: Mapping[str, Any] = field(default_factory=dict)
    surface: str = mini.NAME

    def write(self, world: Path, folder: Path, *, home: Path | None = None) -> Workspace:
        """Write surface, experiment, log and the arms' releases; return where they are.

        Parameters
        ----------
        home : one that is there already; by default a new one in the folder.
        """
        surfaces = self._write_surface(folder)
        write_experiment(folder, surface=self.surface, **self.plain)
        place = home or new_home(folder / "home")
        logs = place / "logs" / self.surface
        mini.write_log_until(world, logs, mini.AS_OF, tables=("impressions", "events"))
        workspace = Workspace.open(self.surface, surfaces=surfaces, home=place)
        self._split(logs)
        register_releases(workspace, 2)
        return workspace

    def _write_surface(self, folder: Path) -> Path:
        written = mini.write_contracts(folder / "contracts") / mini.NAME
        for name, change in (
            ("surface", mini.surface_of_two),
            ("tasks", mini.two_tasks),
            ("utility", mini.utility_of_two),
            ("surface", self._rename),
        ):
            mini.rewrite(written / f"{name}.yaml", change)
        shutil.move(written, folder / "surfaces" / self.surface)
        return folder / "surfaces"

    def _rename(self, plain: dict[str, Any]) -> None:
        """Give the surface its name and its own log, which has ended: no run begins by itself."""
        tables = ("impressions", "events")
        plain |= {"surface": self.surface, "until": (mini.AS_OF - timedelta(days=1)).date()}
        plain["sources"] = {table: f"{self.surface}/{table}/*.parquet" for table in tables}

    def _split(self, logs: Path) -> None:
        rng, treated = np.random.default_rng(0), set[str]()
        for file in sorted((logs / "impressions").glob("*.parquet")):
            rows = pd.read_parquet(file)
            arm = rows["user_id"].map(arm_of)
            inside = (rows["shown_at"].dt.date >= STARTS) & (rows["shown_at"].dt.date < ENDS)
            rows["experiment"], rows["arm"] = (
                pd.Series(words, dtype=object).where(inside, None) for words in ([NAME] * len(rows), arm)
            )
            rows["release"] = arm.map({"control": "1", "treatment": "2"})
            rows["latency_ms"] = 40.0 + 40.0 * rng.random(len(rows))
            treated |= {str(one) for one in rows["request_id"][inside & (arm == "treatment")]}
            self.impressions(rows).to_parquet(file, index=False)
        for file in sorted((logs / "events").glob("*.parquet")):
            rows = pd.read_parquet(file)
            kept = rows["event"].map(self.kept).fillna(1.0)
            of_treated = rows["request_id"].astype(str).isin(treated)
            rows[~of_treated | (rng.random(len(rows)) < kept)].to_parquet(file, index=False)


def arm_of(user: object) -> str:
    return ("control", "treatment")[hashlib.sha256(str(user).encode()).digest()[0] % 2]


def write_experiment(folder: Path, name: str = NAME, **changes: Any) -> None:
    (folder / "experiments").mkdir(exist_ok=True)
    file = folder / "experiments" / f"{name}.yaml"
    plain = PLAIN | {"experiment": name} | changes
    file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


def register_releases(workspace: Workspace, count: int) -> None:
    """Register releases without content: an experiment names their versions alone."""
    registry = workspace.store.registry
    for number in range(count):
        with workspace.store.runs.step(StepKey(workspace.surface, "release", str(number))) as run:
            registry.register(
                release_name(workspace.surface),
                {"number": str(number).encode()},
                run_id=run.run_id,
                tags={},
                model_type="release",
            )


def record_experiment(workspace: Workspace, name: str, **update: Any) -> None:
    """Write an experiment, and record a finished read-out of it, changed by some fields."""
    write_experiment(workspace.surfaces.parent, name)
    readout = ExperimentReadout(
        experiment=name,
        experiment_version=1,
        digest="d",
        plan_run="p",
        as_of=READ,
        starts=STARTS,
        ends=ENDS,
        arms={"control": 1, "treatment": 2},
        state=ReadState.FINISHED,
        decision="hold",
        reasons=(),
        sample_ratio=None,
        left_out=0,
        metrics=(),
        notes=(),
        report="",
    )
    with workspace.store.runs.step(StepKey(workspace.surface, READ_STEP, name, name)) as run:
        run.evidence(readout.model_copy(update=update))
