"""What a command is: a function of a few lines, the options that all of them take, and a call of it.

::

    labels = Group("Data and labels", word="labels", help="Build, show and compare labels.")

    @labels.command("home_feed --snapshot 3fe1fbbb46ac1f91", written=label_text.write_counts)
    def show(workspace: "Workspace", snapshot: Snapshot = None) -> "ShowResult":
        ...

A function that takes ``workspace`` gets the argument SURFACE in its place. Typing a command makes a `Call`,
which has not run yet. Steps are imported inside the functions, so that ``--help`` does not wait for MLflow.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from rich.console import RenderableType
from typer import Typer

from tasks.cli.options import Home, Json, Surface, Surfaces
from tasks.cli.text import write_lines

PROGRAM: Final = "equipoise"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Command:
    """A function that runs, how its result is written for people, and whether the result says yes."""

    name: str
    function: Callable[..., Any]
    written: Callable[[Any], RenderableType] = write_lines
    passed: Callable[[Any], bool] = lambda _: True
    makes_surface: bool = False


@dataclass(frozen=True)
class Call:
    """A command with its arguments as they were typed, before it runs."""

    command: Command
    arguments: Mapping[str, Any]

    def with_argument(self, name: str, value: Any) -> "Call":
        """Return the same call with one argument replaced."""
        return replace(self, arguments={**self.arguments, name: value})

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


@dataclass(frozen=True)
class Group:
    """Commands that stand under one heading of the help, and below one word where they have one."""

    heading: str
    word: str | None = None
    help: str | None = None
    typer: Typer = field(default_factory=Typer)

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
        example : the arguments of the example that its help shows.
        name : what is typed, where that is not the function's name.
        written : lays the result's plain data out for people.
        passed : whether the result is a yes (exit code 0) or a verdict that says no (1).
        makes_surface : whether the surface is one that is not there yet.
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
    """Take what every command takes."""


def _reader(command: Command) -> Callable[..., Call]:
    """Return a function with the command's parameters and the common ones, which makes the call."""

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
