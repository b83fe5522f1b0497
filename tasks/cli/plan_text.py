"""What a retrain would train and test on, as text for people."""

from collections.abc import Iterator

from rich.console import RenderableType, group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tasks.cli.text import Plain


@group()
def write_outlook(plain: Plain) -> Iterator[RenderableType]:
    """Write the days of each task, who decides the shared test days, and what is missing below."""
    yield Text(_log(plain))
    yield Text(_test(plain))
    table = Table("task", "train", "calibrate", "test", box=None, pad_edge=False)
    table.add_column("days needed", justify="right")
    for name, task in plain["tasks"].items():
        slices = task["slices"] or {}
        cells = (_days(slices.get(part)) for part in ("train", "calibrate", "test"))
        table.add_row(name, *cells, f"{task['days_needed']:,}")
    yield table
    for task in plain["tasks"].values():
        if task["missing"]:
            yield Text.assemble(("missing", "red"), f", at the earliest as of {task['possible_from']}:")
            yield Padding(Text(task["missing"]), (0, 0, 0, 4))
    if plain["complete"]:
        yield Text("every task has its days; labels decide whether they hold enough positives", style="green")


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
