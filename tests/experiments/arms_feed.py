"""The mini home_feed with an experiment in its log, whose true effects are known.

::

    home_feed    clicks and hides, 40 days of 120 requests; users are in the treatment by a hash of their id
    STARTS       14 days before ENDS; the treatment loses half of its hides, and 4 in 10 of its clicks
                 where ``worse``
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tasks.stores.aliases import release_name
from tasks.stores.runs import StepKey
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.stores.mlflow_home import new_home

NAME = "feed-hides"
STARTS, ENDS = date(2026, 1, 12), date(2026, 1, 30)
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

    def write(self, world: Path, folder: Path) -> Workspace:
        """Write surfaces, experiment, log and the arms' releases; return where they are."""
        surfaces = mini.write_contracts(folder / "surfaces")
        for name, change in (
            ("surface", mini.surface_of_two),
            ("tasks", mini.two_tasks),
            ("utility", mini.utility_of_two),
            ("surface", lambda plain: plain["sources"].pop("candidates")),
        ):
            mini.rewrite(surfaces / mini.NAME / f"{name}.yaml", change)
        write_experiment(folder, **self.plain)
        home = new_home(folder / "home")
        mini.write_log_until(world, home / "logs" / mini.NAME, mini.AS_OF, tables=("impressions", "events"))
        workspace = Workspace.open(mini.NAME, surfaces=surfaces, home=home)
        self._split(home / "logs" / mini.NAME)
        register_releases(workspace, 2)
        return workspace

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
        with workspace.store.runs.step(StepKey(mini.NAME, "release", str(number))) as run:
            registry.register(
                release_name(mini.NAME),
                {"number": str(number).encode()},
                run_id=run.run_id,
                tags={},
                model_type="release",
            )
