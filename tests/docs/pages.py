"""The pages of the documentation, their fenced blocks and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
PAGES = (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")))

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(equipoise [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and what stands in it."""

    language: str
    text: str


@dataclass(frozen=True)
class Example:
    """A command of a console block, and what the page says that it prints; empty where it says nothing."""

    command: str
    printed: str

    @property
    def words(self) -> list[str]:
        """The arguments of ``equipoise``."""
        return shlex.split(self.command)[1:]


def name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path) -> list[Block]:
    return [Block(*found.groups()) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def examples(block: Block) -> Iterator[Example]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield Example(command, printed)


def mentioned(page: Path) -> list[str]:
    """Return the commands that the running text names, with a real instant in the place of T."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [re.sub(r"\bT\b", "2026-01-01T00:00:00Z", found) for found in _SPAN.findall(text)]
