"""The page of commands, made of the program's own parser: ``python -m tests.docs.command_reference`` writes it."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

from typer.main import get_command

from tasks.cli.program import application
from tests.docs.pages import DOCS

PAGE: Final = DOCS / "reference" / "commands.md"
COMMON: Final = ("--surfaces", "--home", "--json", "--help")
"""Options of every command."""
SHARED: Final = 3
"""An option of as many commands is described once, above all of them."""
HEAD: Final = """# Commands

Every command takes `--surfaces DIR` (folder of the contracts; default `EQUIPOISE_SURFACES`, else `surfaces`), `--home DIR` (folder of the
state; default `EQUIPOISE_HOME`, else `.equipoise`), `--json` (one JSON document on stdout) and `--help`, which also prints an example.
SURFACE is a folder below `--surfaces`. Progress and logs go to stderr.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | a negative verdict: a hold, invalid contracts, a failed validation |
| 2 | wrong use, a bad contract or bad data |
| 3 | a store, a service or the program failed; `<home>/faults` has the traceback |
"""


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Any]]:
    """Yield the heading, the words and the command of each command below a group."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((command.rich_help_panel, *rest) for _, *rest in commands(command, (*words, name)))
        else:
            yield command.rich_help_panel, " ".join((*words, name)), command


def page() -> str:
    """Return the page: options that several commands share are described once."""
    found = list(commands(get_command(application())))
    times = Counter(describe(vars(parameter)) for *_, command in found for parameter in command.params)
    shared = [text for text, n in times.items() if text and n >= SHARED]
    by_heading: dict[str, list[str]] = {}
    for heading, words, command in found:
        by_heading.setdefault(heading, []).append("\n".join(section(words, command, shared)))
    head = HEAD + "\n## Shared options\n\n" + "".join(f"- {text}\n" for text in sorted(shared))
    return head + "".join(f"\n## {heading}\n\n" + "\n".join(parts) for heading, parts in by_heading.items())


def section(words: str, command: Any, shared: Container[str]) -> Iterator[str]:
    """Yield the lines of a command."""
    yield from (f"### {words}", "", line(command.help), "")
    described = {typed(vars(parameter)): describe(vars(parameter)) for parameter in command.params}
    elsewhere = [name for name, text in described.items() if text in shared]
    own = [f"- {text}" for text in described.values() if text and text not in shared]
    if elsewhere:
        yield from ("Shared: " + ", ".join(elsewhere) + ".", "")
    if own:
        yield from (*own, "")


def typed(parameter: Mapping[str, Any]) -> str:
    """Return an argument or option as it is typed, and whether it is required."""
    name = parameter["opts"][0]
    shown = parameter["metavar"] or "" if not parameter.get("is_flag") else ""
    words = f"{name} {shown}" if name.startswith("-") else shown or name.upper()
    return f"`{words.strip()}`" + (" (required)" if parameter["required"] else "")


def describe(parameter: Mapping[str, Any]) -> str:
    """Return the line of an argument or option; empty where every command takes it."""
    if parameter["opts"][0] in COMMON or parameter["metavar"] == "SURFACE":
        return ""
    several = " Repeatable." if parameter["multiple"] else ""
    meaning = f": {line(parameter['help'])}" if parameter["help"] else ""
    return typed(parameter) + meaning + several


def line(text: str) -> str:
    """Return a text as one line of Markdown."""
    return " ".join(text.split()).replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
