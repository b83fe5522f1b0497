"""Commands to operate an installation: monitoring, readiness, pruning, settings, backup and restore."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from rich.console import RenderableType, group
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import AsOf, CommandGroup, Home, parse_file_to_write, parse_folder_to_write
from tasks.cli.text import Plain, level
from tasks.reports.numbers import format_counted, format_number, spoken
from tasks.settings import Setting, Settings, describe_settings, find_misspelt_names

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

_operate: Final = CommandGroup("Operate")
GROUPS = (_operate,)
_LISTED: Final = 10
"""Maximum number of printed units to review."""


@group()
def write_monitor(plain: Plain) -> Iterator[RenderableType]:
    """Write the newest level of each series over all traffic, and what could not be computed."""
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
    table = text.table("series", "days to", figures=("level (95 % CI)", "events"))
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
    """Format a figure with its interval, if any."""
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
) -> Any:
    """Compute the series of the days that matured since the last run; exit code 1 on a critical alarm."""
    from tasks.monitoring import monitor
    from tasks.stores.location import write_bytes

    result = monitor.run(workspace, as_of=as_of)
    if textfile is not None:
        write_bytes(textfile, result.textfile().encode())
    return result


@dataclass(frozen=True)
class SettingsResult:
    """Every variable with its current value, and unknown variables that are set."""

    settings: list[Setting]
    warnings: list[str]


@_operate.command("home_feed", written=text.write_readiness, passed=lambda result: result.ready)
def readiness(workspace: "Workspace") -> Any:
    """List readiness requirements with their evidence; exit code 1 if one is not met."""
    from tasks.promotion.readiness import checklist

    return checklist.run(workspace)


@group()
def write_pruned(plain: Plain) -> Iterator[RenderableType]:
    """Write removed items by kind, with size and age, and kept items by reason."""
    going = "to remove" if plain["dry_run"] else "removed"
    table = text.table(going, figures=("count", "bytes", "oldest", "newest"))
    for one in plain["removed"]:
        ages = (str(one[name] or "-")[:10] for name in ("oldest", "newest"))
        table.add_row(one["kind"], f"{one['count']:,}", f"{one['bytes']:,}", *ages)
    yield table
    for name, many in ((going, plain["removed"]), ("kept", plain["kept"])):
        for one in (one for one in many if one["versions"]):
            why = f" ({one['why']})" if "why" in one else ""
            yield Text(f"{name}: release {', '.join(map(str, one['versions']))}{why}")
    for one in plain["kept"]:
        if not one["versions"]:
            yield Text(f"kept: {one['count']:,} {one['kind']} ({one['why']})")
    yield from (Text(note, style="yellow") for note in plain["notes"])


@_operate.command("home_feed --dry-run", written=write_pruned)
def prune(
    workspace: "Workspace",
    dry_run: Annotated[bool, Option("--dry-run", help="Only print what would be removed.")] = False,
) -> Any:
    """Remove releases, runs, models and label files that `keep` in surface.yaml does not retain."""
    from tasks.promotion import prune

    return prune.run(workspace, dry_run=dry_run)


@_operate.command("", written=text.write_settings)
def settings() -> SettingsResult:
    """Print every environment variable with its value and its default."""
    return SettingsResult(describe_settings(Settings()), find_misspelt_names())


@_operate.command("--out backup-2026-05-13")
def backup(
    out: Annotated[Path, Option(metavar="DIR", parser=parse_folder_to_write, help="A new folder.")],
    home: Home = None,
) -> Any:
    """Copy the state, even while other commands use it."""
    from tasks.stores import backup
    from tasks.stores.store import home_folder

    return backup.back_up(home_folder(home), out.absolute())


@_operate.command("backup-2026-05-13 --home .equipoise-restored")
def restore(
    source: Annotated[Path, Argument(metavar="DIR", help="A folder that `backup` made.")], home: Home = None
) -> Any:
    """Restore a backup as a new home."""
    from tasks.stores import backup
    from tasks.stores.store import home_folder

    return backup.restore(source.absolute(), home_folder(home))
