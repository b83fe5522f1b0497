"""An error that nobody foresaw: one message for whoever typed the command, the traceback in a file.

::

    <home>/faults/2026-11-26T210500Z-4711.txt     the traceback, readable by its owner alone

Python would end such a run with exit code 1, which is a verdict that says no.
"""

import os
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tasks.cli.output import as_printable
from tasks.settings import Settings

EXIT_CODE: Final = 3
_LONGEST: Final = 500
"""Characters of an error's own words that are printed: a terminal's screen holds them."""


def report_fault(error: BaseException, words: Sequence[str]) -> str:
    """Keep the traceback and return the message; ``words`` are those that were typed."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
    summary = as_printable(text)
    try:
        kept = f"Its traceback is in {write_traceback(error, find_home(words))}"
    except OSError as failure:
        kept = f"Its traceback could not be written ({failure})"
    return f"Unexpected {summary} - a fault of the program, not a verdict. {kept}"


def find_home(words: Sequence[str]) -> Path:
    """Return the folder of state that was typed, even where the command could not be read.

    Examples
    --------
    >>> find_home(["check", "--home", "/srv/state"]), find_home(["--home=/srv/state"])
    (PosixPath('/srv/state'), PosixPath('/srv/state'))
    """
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--home" and following:
            return Path(following).absolute()
        if word.startswith("--home="):
            return Path(word.removeprefix("--home=")).absolute()
    return Settings().home


def write_traceback(error: BaseException, home: Path) -> Path:
    """Write an error's traceback to a new file below a home; return where it lies.

    Raises
    ------
    OSError
        The folder cannot be made or written.
    """
    folder = home / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{os.getpid()}-"
    descriptor, path = tempfile.mkstemp(prefix=name, suffix=".txt", dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(traceback.format_exception(error))
    return Path(path)
