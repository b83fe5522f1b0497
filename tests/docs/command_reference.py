"""The page of commands, made of the program's own parser: ``python -m tests.docs.command_reference`` writes it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from typer.main import get_command

from tasks.cli.program import application
from tests.docs.pages import DOCS

PAGE: Final = DOCS / "reference" / "commands.md"
COMMON: Final = ("--surfaces", "--home", "--json", "--help")
"""Options of every command."""
HEAD: Final = """# Commands

Every command takes `--surfaces DIR` (contracts; default `EQUIPOISE_SURFACES`, else `surfaces`), `--home DIR` (state; default
`EQUIPOISE_HOME`, else `.equipoise`), `--json` (one JSON document on stdout) and `--help`, which explains the options and
prints an example. Most take a SURFACE first, a folder below `--surfaces`. Options in brackets are optional. Progress and
logs go to stderr.

Exit codes:

- 0: done
- 1: a negative verdict: a hold, invalid contracts, a failed validation
- 2: wrong use, a bad contract or bad data
- 3: a store, a service or the program failed; `<home>/faults` has the traceback
"""


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Yield the heading, the words and the command of each command below a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((command.rich_help_panel, *rest) for _, *rest in commands(command, (*words, name)))
        else:
            yield command.rich_help_panel, " ".join((*words, name)), command


def page() -> str:
    """Return the page: a list for each heading of the program's help."""
    rows: dict[str, list[str]] = {}
    for heading, words, command in commands(get_command(application())):
        rows.setdefault(heading, []).append(row(words, command))
    return HEAD + "".join(f"\n## {heading}\n\n" + "".join(of) for heading, of in rows.items())


def row(words: str, command: Any) -> str:
    """Return the line of a command: how it is typed, and what it does."""
    own = (shown for parameter in command.params if (shown := typed(vars(parameter))))
    return f"- `{' '.join((words, *own))}`: {line(command.help)}\n"


def typed(parameter: Mapping[str, Any]) -> str:
    """Return an argument or option as it is typed, in brackets if optional; empty where every command takes it."""
    name, metavar = parameter["opts"][0], parameter["metavar"] or ""
    if name in COMMON or metavar == "SURFACE":
        return ""
    shown = "" if parameter.get("is_flag") else metavar
    words = f"{name} {shown}".strip() if name.startswith("-") else shown or name.upper()
    return words if parameter["required"] else f"[{words}]"


def line(text: str) -> str:
    """Return a text as one line of Markdown."""
    return " ".join(text.split()).replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
