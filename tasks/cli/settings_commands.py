"""Commands that operate an installation: its readiness, its settings, and its state as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from tasks.cli import text
from tasks.cli.command import CommandGroup, Home, parse_folder_to_write
from tasks.settings import Setting, Settings, describe_settings, find_misspelt_names

if TYPE_CHECKING:
    from tasks.promotion.readiness.standing import ReadinessResult
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
    from tasks.promotion.readiness import standing

    return standing.run(workspace)


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
