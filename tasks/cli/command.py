"""Define commands: a function of a few lines, the common options, and a call of the function.

::

    labels = CommandGroup("Labels", word="labels", help="Build, show and compare labels.")

    @labels.command("home_feed --snapshot 3fe1fbbb46ac1f91", written=write_counts)
    def show(workspace: "Workspace", snapshot: Snapshot = None) -> "ShowResult":
        ...

A function with the parameter ``workspace`` gets the argument SURFACE in its place. Parsing a command returns
a `Call`, which has not run yet. Steps are imported inside the functions, so that ``--help`` does not import
MLflow.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from rich.console import RenderableType
from typer import Argument, BadParameter, Option, Typer
from typer.core import TyperGroup

from tasks.cli.text import write_lines
from tasks.errors import ContractError

if TYPE_CHECKING:
    from tasks.stores.location import Location

_LONGEST_NAME: Final = 200
"""Maximum bytes of a file name, which leaves room for the name of its temporary file."""


def parse_instant(text: str) -> datetime:
    """Parse an instant that is not in the future, such as 2026-03-01T00:00:00Z."""
    from tasks.stores.workspace import parse_instant, refuse_future

    try:
        instant = parse_instant(text)
        refuse_future(instant)
    except ContractError as error:
        raise BadParameter(str(error)) from None
    return instant


def parse_day(text: str) -> date:
    """Parse a day, such as 2026-03-01."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadParameter(f"'{text}' is not a day. Write it as 2026-03-01") from None


def parse_age(text: str) -> timedelta:
    """Parse a duration, such as P30D."""
    from tasks.contracts.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadParameter(str(error)) from None


def parse_folder(text: str) -> Path:
    """Parse a folder; an empty text, such as an unset variable of a script, is an error."""
    if not text:
        raise BadParameter("the path is empty. Is a variable of the script unset?")
    return Path(text)


def parse_file_to_write(text: str) -> Path:
    """Parse the path of an output file, which is replaced atomically.

    A link stays, and its target is replaced. A path that is not a file, such as a device, is an error.
    """
    path = Path(text)
    try:
        path = path.resolve() if path.is_symlink() else path
        if path.is_symlink():  # since Python 3.13 resolving a loop raises no error
            raise BadParameter(f"'{text}' is a symbolic link in a loop. Choose another path")
        if not path.name or (path.exists() and not path.is_file()):
            raise BadParameter(f"'{text}' is not a file. Choose another path")
        _require_room(path)
    except (OSError, RuntimeError) as error:
        raise _impossible(text, error) from None
    return path


def parse_folder_to_write(text: str) -> Path:
    """Parse the path of an output folder."""
    path = Path(text)
    try:
        if not text or (os.path.lexists(path) and not path.is_dir()):  # a broken link exists too
            raise BadParameter(f"'{text}' is not a folder. Choose another path")
        _require_room(path)
    except (OSError, RuntimeError) as error:
        raise _impossible(text, error) from None
    return path


def parse_place_to_write(text: str) -> "Location":
    """Parse the output folder or ``s3://`` prefix of log tables."""
    from tasks.stores.location import ObjectPath, locate

    place = locate(text)
    return place if isinstance(place, ObjectPath) else parse_folder_to_write(text)


def _require_room(path: Path) -> None:
    """Raise BadParameter if the name leaves no room for a temporary name, or a parent is a file."""
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise BadParameter(
            f"'{path.name[:40]}...' has more than {_LONGEST_NAME} bytes. Choose a shorter name"
        )
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise BadParameter(
            f"'{above}' is not a folder, so nothing can be written below it. Choose another path"
        )


def _impossible(text: str, error: OSError | RuntimeError) -> BadParameter:
    reason = getattr(error, "strerror", None) or error
    return BadParameter(f"'{text[:100]}' cannot be written: {reason}. Choose another path")


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
ParentRun = Annotated[str | None, Option(metavar="RUN_ID", help="The parent MLflow run.")]
ReleaseOption = Annotated[str, Option("--release", metavar="REF", help="A version number or an alias.")]
Baseline = Annotated[
    str | None,
    Option(metavar="REF|logged|COLUMN", help="A release, or an order of items (default: champion)."),
]
EngineOption = Annotated[
    Literal["duckdb", "spark"] | None, Option("--engine", help="Engine of this run (default: the surface's).")
]
FileToWrite = Annotated[
    Path,
    Option("--out", metavar="FILE", parser=parse_file_to_write, help="The file to write or replace."),
]
Candidates = Annotated[Path, Option("--input", metavar="FILE", help="A Parquet file of candidates.")]
Why = Annotated[str, Option(metavar="TEXT", help="The reason, kept in the audit.")]
By = Annotated[
    str | None, Option(metavar="NAME", help="Name recorded in the audit (default: the user of this session).")
]


PROGRAM: Final = "equipoise"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Command:
    """A command: its function, the layout of its result, and whether a result counts as passed."""

    name: str
    function: Callable[..., Any]
    written: Callable[[Any], RenderableType] = write_lines
    passed: Callable[[Any], bool] = lambda _: True
    makes_surface: bool = False


@dataclass(frozen=True)
class Call:
    """A command with its parsed arguments, before it runs."""

    command: Command
    arguments: Mapping[str, Any]

    def run(self) -> Any:
        """Open the workspace if the command takes one, run the command and return its result."""
        arguments = dict(self.arguments)
        taken = inspect.signature(self.command.function).parameters
        if "workspace" in taken:
            from tasks.stores.workspace import Workspace

            folders = {name: arguments[name] for name in ("surfaces", "home")}
            arguments["workspace"] = workspace = Workspace.open(arguments["surface"], **folders)
            if not self.command.makes_surface:
                workspace.require_surface()
        return self.command.function(**{name: arguments[name] for name in taken})


class HelpfulGroup(TyperGroup):
    """A group that prints help when called without arguments, with commands by heading and full summaries."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help if there are no arguments."""
        return super().parse_args(ctx, args if args or ctx.resilient_parsing else ["--help"])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading if the output is not a terminal; on a terminal Rich draws them."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            synopsis = " ".join((command.help or "").split())
            sections.setdefault(heading, []).append((name, synopsis))
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


@dataclass(frozen=True)
class CommandGroup:
    """Commands below one heading of the help, and optionally below one word."""

    heading: str
    word: str | None = None
    help: str | None = None
    typer: Typer = field(default_factory=partial(Typer, cls=HelpfulGroup))

    def command(
        self,
        example: str,
        *,
        name: str | None = None,
        written: Callable[[Any], RenderableType] = write_lines,
        passed: Callable[[Any], bool] = lambda _: True,
        makes_surface: bool = False,
    ) -> Callable[[Function], Function]:
        """Add a function as a command.

        Parameters
        ----------
        example : arguments of the example in the help.
        name : name of the command; default: the function's name.
        written : layout of the result's plain data for people.
        passed : whether the result passes (exit code 0) or is a negative verdict (1).
        makes_surface : whether the command creates the surface.
        """

        def add(function: Function) -> Function:
            words = " ".join(filter(None, (self.word, name or function.__name__)))
            command = Command(words, function, written, passed, makes_surface)
            self.typer.command(
                name or function.__name__,
                epilog=f"example: {PROGRAM} {words} {example}".rstrip(),
                rich_help_panel="Commands" if self.word else self.heading,
            )(_reader(command))
            return function

        return add


def _common(*, surfaces: Surfaces = None, home: Home = None, json: Json = False) -> None:
    """Define the options of every command."""


def _reader(command: Command) -> Callable[..., Call]:
    """Return a function with the command's and the common parameters, which returns the call."""

    def read(**arguments: Any) -> Call:
        return Call(command, arguments)

    own = dict(inspect.signature(command.function).parameters)
    surface = inspect.Parameter("surface", inspect.Parameter.KEYWORD_ONLY, annotation=Surface)
    first = [surface] if own.pop("workspace", None) else []
    common = inspect.signature(_common).parameters.values()
    every = [*first, *own.values(), *(parameter for parameter in common if parameter.name not in own)]
    as_keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in every]
    vars(read)["__signature__"] = inspect.Signature(as_keywords)
    read.__doc__ = command.function.__doc__
    return read
