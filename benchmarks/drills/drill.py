"""A drill: a disaster in a small home, what is lost by it, and the commands after which it serves again.

::

    home made -> disaster -> what a command says -> commands, timed -> champion verified -> Drilled

Commands are those of the program, typed as people type them. Seconds are of the smallest feed on the machine
that made the page; what a command does with a real home takes longer, and which commands they are does not.
"""

import json
import multiprocessing
import os
import signal
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.killed.homes import Homes
from tasks.cli import main as run_program
from tasks.stores.audit import Audit, Entry
from tasks.stores.workspace import Workspace
from tests.feeds import mini

LOSES: Final = "DRILL_LOSES"
"""The variable with the process of a server that stops once the audit has a row."""
_STOPPED: Final = 3.0
"""Seconds after which PostgreSQL has stopped that was asked to disconnect its clients."""
_LONGEST: Final = 300
"""Characters of a message that are shown."""


@dataclass(frozen=True)
class Drilled:
    """What a drill found: what people read first, what is lost, what brings service back, and how long."""

    event: str
    meanwhile: str
    message: str
    lost: str
    commands: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Answer:
    """The exit code of a command, its JSON, and what it wrote to stderr."""

    code: int
    plain: Any
    said: str

    @property
    def message(self) -> str:
        """The first sentence of the refusal."""
        return next(
            (line for line in self.said.splitlines() if "Error: " in line or "Mismatch: " in line), ""
        )


@dataclass
class Shift:
    """Who is on call in a home: the commands that were typed since the disaster, and when that was."""

    homes: Homes
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    began: float = 0.0

    @property
    def workspace(self) -> Workspace:
        """The surface in this home, opened anew."""
        return self.homes.open(self.home)

    def disaster(self) -> None:
        """Begin to count: what was typed before counts no more."""
        self.typed.clear()
        self.began = time.monotonic()

    def equipoise(self, *words: str, listed: bool = True) -> Answer:
        """Run a command of the program in this home, in a process of its own."""
        if listed:
            self.typed.append(
                " ".join(["equipoise", *(f'"{word}"' if " " in word else word for word in words)])
            )
        where = ["--surfaces", str(self.homes.surfaces), "--home", str(self.home), "--json"]
        out, err = self.home.parent / "out.json", self.home.parent / "err.txt"
        process = multiprocessing.get_context("forkserver").Process(
            target=_program, args=([*words, *where], out, err, self.environment)
        )
        process.start()
        process.join()
        printed = out.read_text(encoding="utf-8")
        plain = json.loads(printed) if printed else None
        return Answer(process.exitcode or 0, plain, err.read_text(encoding="utf-8"))

    def verified(self) -> None:
        """Require that the champion is whole and the audit agrees."""
        found = self.equipoise("release", "verify", mini.NAME, "champion", listed=False)
        if found.code or found.plain["problems"]:
            raise RuntimeError(f"The champion does not serve again: {found.plain or found.said}")

    def ended(self, event: str, *, meanwhile: str, message: str, lost: str) -> Drilled:
        """Verify the champion and return what was found."""
        self.verified()
        seconds = time.monotonic() - self.began
        shown = message.replace(str(self.home), "$EQUIPOISE_HOME")
        shown = textwrap.shorten(shown, _LONGEST, placeholder=" ...")
        return Drilled(event, meanwhile, shown, lost, tuple(self.typed), seconds)


def _program(words: list[str], out: Path, err: Path, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    if LOSES in environment:
        _lose_after_the_row(int(environment[LOSES]))
    multiprocessing.set_start_method("fork", force=True)  # its locks have no name that a kill leaves behind
    for standard, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), standard)
    sys.exit(run_program(words))


def _lose_after_the_row(server: int) -> None:
    """Let a server stop, with its connections, right after a row was added to the audit."""
    append = Audit.append

    def append_and_lose(self: Audit, *given: Any, **how: Any) -> Entry:
        row = append(self, *given, **how)
        os.kill(server, signal.SIGINT)
        time.sleep(_STOPPED)
        return row

    pytest.MonkeyPatch().setattr(Audit, "append", append_and_lose)  # in the process of this command alone
