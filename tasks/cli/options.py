"""The arguments and options that more than one command takes, each with its help.

::

    def train(workspace: "Workspace", task: Task, as_of: AsOf, parent_run: ParentRun = None) -> "TrainResult":
"""

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from typer import Argument, BadParameter, Option

if TYPE_CHECKING:
    from tasks.stores.location import Location

_LONGEST_NAME: Final = 200
"""Bytes of a file's name that leave room for that of the part before it."""


def parse_instant(text: str) -> datetime:
    """Read an instant that has come, as in 2026-03-01T00:00:00Z."""
    from tasks.stores import workspace
    from tasks.stores.workspace import refuse_future

    instant = workspace.parse_instant(text)
    refuse_future(instant)
    return instant


def parse_day(text: str) -> date:
    """Read a day, as in 2026-03-01."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadParameter(f"'{text}' is not a day. Write it as 2026-03-01") from None


def parse_age(text: str) -> timedelta:
    """Read a duration, as in P30D."""
    from tasks.contracts.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadParameter(str(error)) from None


def parse_folder(text: str) -> Path:
    """Read a folder; no text would be the current folder, where a script's variable is not set."""
    if not text:
        raise BadParameter("no folder is named. Is a variable of a script not set?")
    return Path(text)


def parse_file_to_write(text: str) -> Path:
    """Read where a file is to be written, which stands there whole or not at all: it replaces a file.

    A link stays, and the file that it leads to is replaced. What is no file, such as a device, is refused.
    """
    path = Path(text)
    try:
        path = path.resolve() if path.is_symlink() else path
        if path.is_symlink():  # from Python 3.13 on resolving a loop raises nothing
            raise BadParameter(f"'{text}' is a link in a loop. Name another place")
        if not path.name or (path.exists() and not path.is_file()):
            raise BadParameter(f"'{text}' is not a file. Name one that may be replaced, or a new one")
        _require_room(path)
    except (OSError, RuntimeError) as error:
        raise _impossible(text, error) from None
    return path


def parse_folder_to_write(text: str) -> Path:
    """Read where a folder is to be written."""
    path = Path(text)
    try:
        if not text or (path.exists() and not path.is_dir()):
            raise BadParameter(f"'{text}' is not a folder. Name one, or a new one")
        _require_room(path)
    except (OSError, RuntimeError) as error:
        raise _impossible(text, error) from None
    return path


def parse_place_to_write(text: str) -> "Location":
    """Read a folder or an ``s3://`` prefix that log tables are to be written to."""
    from tasks.stores.location import ObjectPath, locate

    place = locate(text)
    return place if isinstance(place, ObjectPath) else parse_folder_to_write(text)


def _require_room(path: Path) -> None:
    """Refuse a name that leaves no room for that of the part before it, and a place below a file."""
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise BadParameter(f"'{path.name[:40]}...' has more than {_LONGEST_NAME} bytes. Name it shorter")
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise BadParameter(
            f"'{above}' is not a folder, so nothing can be written below it. Name another place"
        )


def _impossible(text: str, error: OSError | RuntimeError) -> BadParameter:
    reason = getattr(error, "strerror", None) or error
    return BadParameter(f"'{text[:100]}' cannot be written: {reason}. Name another place")


Surface = Annotated[str, Argument(metavar="SURFACE", help="A folder of contracts below --surfaces.")]
Task = Annotated[str, Argument(metavar="TASK", help="A task of tasks.yaml.")]
Release = Annotated[str, Argument(metavar="REF", help="A version number or an alias.")]

_COMMON = "Options of every command"
_SURFACES = "Folder of the contracts (default: EQUIPOISE_SURFACES, else surfaces)."
_HOME = "Folder of the state (default: EQUIPOISE_HOME, else .equipoise)."
_JSON = "Print one JSON document on stdout and nothing else."
Surfaces = Annotated[
    Path | None, Option(metavar="DIR", parser=parse_folder, help=_SURFACES, rich_help_panel=_COMMON)
]
Home = Annotated[Path | None, Option(metavar="DIR", parser=parse_folder, help=_HOME, rich_help_panel=_COMMON)]
Json = Annotated[bool, Option("--json", help=_JSON, rich_help_panel=_COMMON)]

AsOf = Annotated[datetime, Option(metavar="T", parser=parse_instant, help="An instant, ISO 8601 in UTC.")]
ParentRun = Annotated[str | None, Option(metavar="RUN_ID", help="The MLflow run that this one is nested in.")]
ReleaseOption = Annotated[str, Option("--release", metavar="REF", help="A version number or an alias.")]
EngineOption = Annotated[
    Literal["duckdb", "spark"] | None, Option("--engine", help="In place of the surface's.")
]
FileToWrite = Annotated[
    Path,
    Option("--out", metavar="FILE", parser=parse_file_to_write, help="The file to write, or to replace."),
]
Candidates = Annotated[Path, Option("--input", metavar="FILE", help="A Parquet file of candidates.")]
Why = Annotated[str, Option(metavar="TEXT", help="The reason, kept in the audit.")]
By = Annotated[str | None, Option(metavar="NAME", help="Who moves it (default: the user of this session).")]
