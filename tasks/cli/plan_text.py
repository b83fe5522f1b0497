"""What a retrain would train and test on, as text for people."""

from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType, group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.cli.text import Plain

_SLICES: Final = ("train", "calibrate", "test")


@group()
def write_outlook(plain: Plain) -> Iterator[RenderableType]:
    """Write the days of each task, who decides the shared test days, and what is missing below."""
    yield Text(_log(plain))
    yield Text(_test(plain))
    table = Table("task", *_SLICES, box=None, pad_edge=False)
    table.add_column("positives", justify="right")
    table.add_column("days needed", justify="right")
    for name, task in plain["tasks"].items():
        slices, positives = task["slices"] or {}, task["positives"] or {}
        cells = (_days(slices.get(part)) for part in _SLICES)
        counts = " / ".join(f"{positives[part]:,}" for part in _SLICES if part in positives)
        table.add_row(name, *cells, counts or "-", f"{task['days_needed']:,}")
    yield table
    for task in plain["tasks"].values():
        if task["missing"]:
            earliest = "" if task["slices"] else f", at the earliest as of {task['possible_from']}"
            yield Text.assemble(("missing", "red"), f"{earliest}:")
            yield Padding(Text(task["missing"]), (0, 0, 0, 4))
    if plain["complete"]:
        yield Text("every task has the days and the positives that training needs", style="green")


def _log(plain: Plain) -> str:
    begins = f"{plain['surface']} as of {plain['as_of']}, every day and time is UTC: the log"
    if plain["first_day"] is None:
        return f"{begins} has no impression before it"
    size = f"{plain['rows']:,} impressions on {plain['days']:,} days"
    return f"{begins} has {size}, {plain['first_day']} to {plain['last_day']}"


def _test(plain: Plain) -> str:
    decider = plain["test_decided_by"]
    days = _days(plain["test"]) if plain["test"] else "none yet"
    return f"shared test days: {days}, decided by {decider}, the fast task that is known last"


def _days(days: list[str] | None) -> str:
    """Write first and last day, whose year is said once.

    Examples
    --------
    >>> _days(["2026-01-08", "2026-01-14"]), _days(["2025-12-29", "2026-01-04"]), _days(None)
    ('2026-01-08 to 01-14', '2025-12-29 to 2026-01-04', '-')
    """
    if not days:
        return "-"
    first, last = days
    return f"{first} to {last[5:] if last[:4] == first[:4] else last}"
