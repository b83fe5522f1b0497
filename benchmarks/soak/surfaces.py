"""The surfaces of the soak: one small log, and contracts of two tasks that all keep little.

::

    logs/soaked      a file a day and table, delivered day by day
    surfaces/soaked_00, soaked_01, ...     each reads this log, so that what grows is bookkeeping, not data
"""

import shutil
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.feeds import mini

LOG: Final = "soaked"
HISTORY: Final = 26
"""Days of log before the first day: two weeks and four days of slices, and what lies between them."""
_TABLES: Final = ("impressions", "candidates", "events")


def add_surfaces(folder: Path, *, count: int, days: int, releases: int) -> list[str]:
    """Write the contracts of so many surfaces; return their names.

    Parameters
    ----------
    days : days of the log, after which no schedule begins a run by itself.
    releases : how many of the newest each keeps.
    """
    names = [f"{LOG}_{number:02}" for number in range(count)]

    def keep_little(plain: dict[str, Any], name: str) -> None:
        mini.surface_of_two(plain)
        plain["surface"] = name
        plain["sources"] = {table: f"{LOG}/{table}/*.parquet" for table in plain["sources"]}
        plain["until"] = (mini.FIRST + timedelta(days=days)).date()
        plain["arrival"] = {"within": "P1D", "deadline": "PT10M", "every": "PT10S"}
        plain["promotion"] = {}
        plain["keep"] = {"snapshots": "P1D", "releases": releases, "runs": "P1D"}

    whole = mini.write_contracts(folder / ".soaked") / mini.NAME
    for name in names:
        shutil.copytree(whole, folder / name)
        mini.rewrite(folder / name / "tasks.yaml", mini.two_tasks)
        mini.rewrite(folder / name / "utility.yaml", mini.utility_of_two)
        mini.rewrite(folder / name / "surface.yaml", partial(keep_little, name=name))
    shutil.rmtree(whole.parent)
    return names


def deliver(world: Path, logs: Path, *, until: datetime) -> None:
    """Bring the files of the days before an instant that are not there yet."""
    for table in _TABLES:
        (logs / LOG / table).mkdir(parents=True, exist_ok=True)
        for file in (world / table).glob("*.parquet"):
            brought = logs / LOG / table / file.name
            if date.fromisoformat(file.stem) < until.date() and not brought.exists():
                shutil.copyfile(file, brought.with_suffix(".draft"))
                brought.with_suffix(".draft").rename(brought)


def change_policy(surface: Path) -> None:
    """Raise the weight of clicks a little, as the next version of the utility policy."""

    def raised(plain: dict[str, Any]) -> None:
        plain["version"] += 1
        plain["weights"]["click_30m"] = round(plain["weights"]["click_30m"] + 0.01, 2)

    mini.rewrite(surface / "utility.yaml", raised)
