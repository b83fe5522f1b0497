"""docs/disaster.md, from the line that says how it is made."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.drills.drill import Drilled

PAGE: Final = Path(__file__).parents[2] / "docs" / "disaster.md"
_START: Final = "<!-- made by python -m benchmarks.drills --write -->"


def page(text: str, drilled: Sequence[Drilled]) -> str:
    """Return the page: what people wrote, then the table and a section for each drill."""
    written = text.partition(_START)[0]
    sections = [line for one in drilled for line in section(one)]
    return "\n".join([f"{written}{_START}", "", *table(drilled), "", *sections]).rstrip() + "\n"


def table(drilled: Sequence[Drilled]) -> Iterator[str]:
    """Yield one row for each drill."""
    yield "| disaster | lost | commands | seconds until the champion is verified |"
    yield "| --- | --- | --- | --- |"
    for one in drilled:
        lost = one.lost.partition(":")[0].partition(". ")[0]
        typed = sum(not command.startswith("#") for command in one.commands)
        yield f"| {one.event} | {lost} | {typed} | {one.seconds:.0f} |"


def section(one: Drilled) -> Iterator[str]:
    """Yield the lines of a drill: what people see meanwhile and read, what is lost, what they type."""
    yield f"## {one.event}"
    yield ""
    yield f"**Meanwhile:** {one.meanwhile}.\\"
    if one.message:
        yield f"**Error:** {one.message}\\"
    yield f"**Lost:** {one.lost}."
    yield ""
    yield from ("```text", *one.commands, "```", "")
