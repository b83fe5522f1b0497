"""A simulated world and the heads of two retrains, champion and challenger a week apart.

::

    generate    logs, and the true probability of every candidate at the first position
    labels      as of the champion's day, then as of the challenger's
    heads       what a retrain trains and calibrates, by the functions of its steps (``heads.py``)
    test slice  the challenger's: neither has learned from it
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

from benchmarks.operating_worlds.heads import Retrained, retrain
from benchmarks.operating_worlds.surface import SURFACE, TASKS, days_of_history, write_surface
from tasks.contracts import load_surface
from tasks.datasets.world.generate import START, Extras, generate
from tasks.labels import build as labels
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.workspace import Workspace

DAYS_BETWEEN_RETRAINS: Final = 7
"""The shipped schedule retrains weekly."""


@dataclass(frozen=True)
class Size:
    """How large a world is.

    Attributes
    ----------
    requests_per_day, test_days : of its logs and of the slice that decides.
    tasks : what it has heads for.
    split : lengths of slices, in place of the shipped ones.
    """

    requests_per_day: int
    test_days: int
    tasks: tuple[str, ...] = TASKS
    split: tuple[tuple[str, str], ...] = (("calibrate", "P14D"),)
    """Reports come 1 in 7,000: a week of 400 requests a day may hold none to calibrate on."""

    @property
    def name(self) -> str:
        """Name the size in files and tables."""
        return f"{self.requests_per_day}x{self.test_days}"

    def write_surface(self, folder: Path) -> Path:
        """Write the contracts of such a world; return their folder."""
        split = {"test": f"P{self.test_days}D", **dict(self.split)}
        return write_surface(folder, tasks=self.tasks, split=split)


@dataclass(frozen=True)
class World:
    """A world in a folder of its own."""

    size: Size
    seed: int
    folder: Path

    @cached_property
    def workspace(self) -> Workspace:
        """The home of its logs and labels."""
        return Workspace.open(SURFACE, surfaces=self.folder / "surfaces", home=self.folder / "home")

    @property
    def truth(self) -> Path:
        """The true probability of every candidate, by task, at the first position."""
        return self._logs / "candidate_truth.parquet"

    @property
    def _logs(self) -> Path:
        return self.workspace.home / "logs" / SURFACE

    def retrain_twice(self) -> tuple[Retrained, Retrained]:
        """Write contracts and logs; return what the champion's and the challenger's retrain make."""
        newest = self._generate()
        earlier, later = (
            retrain(self.workspace, self._label(as_of))
            for as_of in (newest - timedelta(days=DAYS_BETWEEN_RETRAINS), newest)
        )
        return earlier, later

    def _generate(self) -> datetime:
        self.size.write_surface(self.folder / "surfaces")
        days = days_of_history(load_surface(self.folder / "surfaces", SURFACE)) + DAYS_BETWEEN_RETRAINS
        generate(
            days=days,
            requests_per_day=self.size.requests_per_day,
            seed=self.seed,
            out=self._logs,
            extras=Extras(candidate_truth=True),
        )
        return datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=days)

    def _label(self, as_of: datetime) -> Snapshot:
        snapshot = labels.run(self.workspace, as_of=as_of).snapshot
        return LabelStore(self.workspace.store, SURFACE).snapshot(snapshot)

    def remove_logs(self) -> None:
        """Remove its logs and labels; the contracts stay."""
        shutil.rmtree(self.workspace.home)
