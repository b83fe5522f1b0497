"""The command that watches a surface after a release."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text
from typer import Option

from tasks.cli.command import AsOf, CommandGroup, parse_file_to_write
from tasks.cli.text import level
from tasks.reports.numbers import format_counted, format_number, spoken

if TYPE_CHECKING:
    from tasks.monitoring.monitor import MonitorResult
    from tasks.stores.workspace import Workspace

Plain = Mapping[str, Any]
_operate: Final = CommandGroup("Operate")
GROUPS = (_operate,)
_LISTED: Final = 10
"""Units to review that are printed."""


@group()
def write_monitor(plain: Plain) -> Iterator[RenderableType]:
    """Write the newest level of each series of all traffic, and what could not be computed."""
    new = f"{format_counted(plain['days'], 'new day')}, {format_counted(plain['figures'], 'figure')}"
    yield Text(f"{plain['surface']} as of {plain['as_of']}: {new}")
    if plain["history"] < plain["needed"]:
        yield Text(f"levels only: {plain['history']} of the {plain['needed']} days that alarms need")
    for alarm in plain["alarms"]:
        style = "red" if alarm["critical"] else "yellow"
        moved = f"{format_number(alarm['before'])} to {format_number(alarm['now'])} since {alarm['since']}"
        kind = "critical alarm" if alarm["critical"] else "alarm"
        yield Text(f"{kind}: {alarm['name']}: {moved}", style=style)
        yield Text(f"  {alarm['meaning']} {alarm['action']}")
    table = Table("series", "days to", box=None, pad_edge=False)
    for name in ("level (95 % CI)", "events"):
        table.add_column(name, justify="right")
    for one in plain["series"]:
        if one["column"] != "tenth" and (one["metric"] != "rows" or not one["task"]):
            column = "=".join(filter(None, (one["column"], one["value_of"])))
            name = " ".join(
                filter(None, (one["feature"], one["task"], one["constraint"], column, spoken(one["metric"])))
            )
            table.add_row(name, str(one["day"]), _level(one), f"{one['events']:,}")
    yield table
    for one in plain["early"]:
        age = format_counted(one["age"] + 1, "day")
        yield Text(f"before maturity, {one['task']} of {one['day']}, after {age}: {_level({**one, 'n': 0})}")
    for unit in plain["queue"][:_LISTED]:
        events = f"{format_counted(unit['observed'], 'event')}, {format_number(unit['expected'])} predicted"
        yield Text(f"to review: {unit['column']} {unit['unit']}, {unit['task']}: {events}")
    if (more := len(plain["queue"]) - _LISTED) > 0:
        yield Text(f"and {more} more in review_queue.csv next to the page")
    yield from (Text(note, style="yellow") for note in plain["notes"])
    yield Text(f"table: {plain['table']}", overflow="fold")
    yield Text(f"page: {plain['page']}", overflow="fold")


def _level(one: Plain) -> str:
    """Write a figure with its interval, where it has one."""
    known = one["low"] is not None and math.isfinite(one["low"])
    return level(one) if known else format_number(one["value"])


@_operate.command(
    "home_feed --as-of 2026-05-13T00:00:00Z", written=write_monitor, passed=lambda result: result.passed
)
def monitor(
    workspace: "Workspace",
    as_of: AsOf,
    textfile: Annotated[
        Path | None,
        Option(metavar="FILE", parser=parse_file_to_write, help="Write levels and alarms for Prometheus."),
    ] = None,
) -> "MonitorResult":
    """Compute the series of the days that matured since the last run; exit code 1 on a critical alarm."""
    from tasks.monitoring import monitor
    from tasks.stores.location import write_bytes

    result = monitor.run(workspace, as_of=as_of)
    if textfile is not None:
        write_bytes(textfile, result.textfile().encode())
    return result
