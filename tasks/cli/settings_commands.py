"""Commands that operate an installation: its readiness, its settings, and its state as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import RenderableType, group
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import CommandGroup, Home, parse_folder_to_write
from tasks.cli.text import Plain
from tasks.settings import Setting, Settings, describe_settings, find_misspelt_names

if TYPE_CHECKING:
    from tasks.promotion.prune import PruneResult
    from tasks.promotion.readiness.checklist import ReadinessResult
    from tasks.stores.backup import CopyResult
    from tasks.stores.workspace import Workspace

_operate = CommandGroup("Operate")
GROUPS = (_operate,)


@dataclass(frozen=True)
class SettingsResult:
    """Every variable as it stands here, and what is set under a name that is not known."""

    settings: list[Setting]
    warnings: list[str]


@_operate.command("home_feed", written=text.write_readiness, passed=lambda result: result.ready)
def readiness(workspace: "Workspace") -> "ReadinessResult":
    """List what is ready and what is missing, each with its evidence; exit code 1 where a line is not met."""
    from tasks.promotion.readiness import checklist

    return checklist.run(workspace)


@group()
def write_pruned(plain: Plain) -> Iterator[RenderableType]:
    """Write what goes by kind, with its size and age, and what stays by reason."""
    table = Table("would go" if plain["dry_run"] else "removed", box=None, pad_edge=False)
    for name in ("count", "bytes", "oldest", "newest"):
        table.add_column(name, justify="right")
    for one in plain["removed"]:
        ages = (str(one[name] or "-")[:10] for name in ("oldest", "newest"))
        table.add_row(one["kind"], f"{one['count']:,}", f"{one['bytes']:,}", *ages)
    yield table
    for name, many in (("goes", plain["removed"]), ("stays", plain["kept"])):
        for one in (one for one in many if one["versions"]):
            why = f" ({one['why']})" if "why" in one else ""
            yield Text(f"{name}: release {', '.join(map(str, one['versions']))}{why}")
    for one in plain["kept"]:
        if not one["versions"]:
            yield Text(f"stays: {one['count']:,} {one['kind']} ({one['why']})")
    yield from (Text(note, style="yellow") for note in plain["notes"])


@_operate.command("home_feed --dry-run", written=write_pruned)
def prune(
    workspace: "Workspace",
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be removed.")] = False,
) -> "PruneResult":
    """Remove the releases, runs, models and label files that `keep` of surface.yaml no longer keeps."""
    from tasks.promotion import prune

    return prune.run(workspace, dry_run=dry_run)


@_operate.command("", written=text.write_settings)
def settings() -> SettingsResult:
    """Print every environment variable with its value here and its default."""
    return SettingsResult(describe_settings(Settings()), find_misspelt_names())


@_operate.command("--out backup-2026-05-13")
def backup(
    out: Annotated[
        Path, Option(metavar="DIR", parser=parse_folder_to_write, help="A folder that is not there yet.")
    ],
    home: Home = None,
) -> "CopyResult":
    """Copy the state, also while it is worked in."""
    from tasks.stores.backup import back_up
    from tasks.stores.store import home_folder

    return back_up(home_folder(home), out.absolute())


@_operate.command("backup-2026-05-13 --home .equipoise-restored")
def restore(
    source: Annotated[Path, Argument(metavar="DIR", help="A folder that `backup` made.")], home: Home = None
) -> "CopyResult":
    """Bring a backup back as a home that is not there yet."""
    from tasks.stores.backup import restore
    from tasks.stores.store import home_folder

    return restore(source.absolute(), home_folder(home))
