"""A command: every one has the same options, and a call runs the function with what was typed."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from tasks.cli.command import PROGRAM, Group
from tasks.cli.program import MODULES, parse
from tests.contracts.files import write_surface


def examples() -> list[str]:
    """Return the example of every command's help."""
    groups = [group for module in MODULES for group in module.GROUPS]
    commands = [command for group in groups for command in group.typer.registered_commands]
    return [str(command.epilog).removeprefix("example: ") for command in commands]


@pytest.mark.parametrize("example", examples())
def test_the_example_of_every_help_can_be_typed(example: str) -> None:
    program, *words = shlex.split(example)
    assert program == PROGRAM
    assert " ".join(words).startswith(parse(words).command.name)


@pytest.mark.parametrize("example", examples())
def test_every_command_takes_the_common_options(example: str) -> None:
    call = parse([*shlex.split(example)[1:], "--surfaces", "here", "--home", "there", "--json"])
    common = {name: call.arguments[name] for name in ("surfaces", "home", "json")}
    assert common == {"surfaces": Path("here"), "home": Path("there"), "json": True}


def test_the_workspace_is_that_of_the_surface_and_of_the_folders(tmp_path: Path) -> None:
    root = write_surface(tmp_path)
    call = parse(["labels", "show", "feed", "--surfaces", str(root), "--home", str(tmp_path / "home")])
    seen: dict[str, Any] = {}
    group = Group("A heading")

    @group.command("")
    def remember(workspace: Any, snapshot: str | None) -> None:
        """Remember."""
        seen.update(workspace=workspace, snapshot=snapshot)

    type(call)(_command_of(group), call.arguments).run()
    workspace = seen["workspace"]
    assert (workspace.surface, workspace.surfaces, workspace.home) == ("feed", root, tmp_path / "home")
    assert seen["snapshot"] is None


def _command_of(group: Group) -> Any:
    (info,) = group.typer.registered_commands
    assert info.callback is not None
    return info.callback(surface="feed").command


def test_one_argument_of_a_call_can_be_replaced() -> None:
    call = parse(["simulate", "feed", "--release", "3", "--parent-run", "a"])
    changed = call.with_argument("parent_run", "b")
    assert (call.arguments["parent_run"], changed.arguments["parent_run"]) == ("a", "b")
    assert changed.command is call.command
