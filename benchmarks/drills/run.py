"""Runs drills, each in a home of its own."""

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.drills.drill import Drilled, Shift
from benchmarks.drills.listed import DRILLS
from benchmarks.killed.homes import Homes


def drill_all(homes: Homes, names: Sequence[str]) -> list[Drilled]:
    """Run drills one after the other; the homes that they begin in are made when first needed."""
    multiprocessing.set_forkserver_preload(["tests.feeds.every_step", "tasks.promotion.moves.rollback"])
    if not (homes.folder / "logs").exists():
        homes.prepare()
    return [_drill(homes, name) for name in names]


def _drill(homes: Homes, name: str) -> Drilled:
    template, drill = DRILLS[name]
    home = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=homes.folder)) / "home"
    return drill(Shift(homes, homes.copy(template, home)))
