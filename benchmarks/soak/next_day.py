"""The daily run of two homes side by side: of the one as it was early, and of the same one at the end.

Both homes are copied and given their next day in turn, by the commands that do what the DAGs' steps do. The
least processor seconds of each count, so the ratio is not that of two moments of a machine that others use.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks.commands import cpu_seconds
from benchmarks.soak.surfaces import HISTORY, deliver
from tests.feeds import mini

_RUNS: Final = 3
_COMMANDS: Final = ("validate", "monitor")
"""What the steps ``labels`` and ``validate`` do, and what ``monitor`` does."""


def next_days(
    homes: Mapping[int, Path], *, surfaces: Path, world: Path, surface: str, environment: Mapping[str, str]
) -> dict[int, float]:
    """Return the processor seconds of the next day of homes.

    Parameters
    ----------
    homes : by the day that each was left at.
    """
    least = dict[int, float]()
    for _ in range(_RUNS):
        for day, home in homes.items():
            seconds = _next_day(
                home, day, surfaces=surfaces, world=world, surface=surface, environment=environment
            )
            least[day] = min(seconds, least.get(day, seconds))
    return least


def _next_day(
    home: Path, day: int, *, surfaces: Path, world: Path, surface: str, environment: Mapping[str, str]
) -> float:
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(home, Path(folder) / "home"))
        as_of = mini.FIRST + timedelta(days=HISTORY + day + 1)
        deliver(world, copied / "logs", until=as_of)
        where = ["--home", str(copied), "--surfaces", str(surfaces), "--as-of", as_of.isoformat()]
        program = [sys.executable, "-m", "tasks.cli"]
        return sum(cpu_seconds([*program, command, surface, *where], environment) for command in _COMMANDS)
