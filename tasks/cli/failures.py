"""Handle errors that end a command: refusals of the operating system, and unexpected errors.

::

    a file or folder that this user may not read or write, a read-only disk    ContractError, exit code 2
    a disk that is full or fails, a quota, a limit on the size of files        StoreError, exit code 3
    any other error            one message, exit code 3, the traceback in <home>/faults/

The first two can occur in any step, and libraries wrap them in their own errors. They are therefore searched
once, in the error that ended a command and in its causes. Python's default exit code for an error is 1, which
is the code of a negative verdict here.
"""

import errno
import os
import re
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tasks.cli.text import as_printable
from tasks.errors import ContractError, EquipoiseError, StoreError
from tasks.settings import Settings

_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_OF_SQLITE: Final = {
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_OF_RUST: Final = re.compile(r"\(os error (\d+)\)")
_OF_C: Final = {os.strerror(number): number for number in (*_NOT_ALLOWED, *_NO_ROOM)}
_LONGEST_REFUSAL: Final = 400
_STDERR: Final = 2
_OF_DUCKDB: Final = "Query interrupted"
"""DuckDB's message in a RuntimeError when a signal ends a query."""


def find_refusal(error: BaseException) -> EquipoiseError | None:
    """Return the error for an operating system's refusal that ended a command, or None.

    Examples
    --------
    >>> str(find_refusal(PermissionError(13, "Permission denied", "/srv/state/locks"))).partition(". ")[0]
    "'/srv/state/locks': Permission denied"
    >>> find_refusal(ValueError("of the program's own")) is None
    True
    """
    if isinstance(error, EquipoiseError) and error.exit_code != StoreError.exit_code:
        return None
    for cause in _chain(error):
        number = _number(cause)
        if number in _NOT_ALLOWED:
            return ContractError(f"{_describe(error, cause)}. {_who()}")
        if number in _NO_ROOM:
            return StoreError(
                f"{_describe(error, cause)}. The disk is full or fails, or a limit on files is "
                "reached: make room, then run the command again"
            )
    return None


def was_stopped(error: BaseException) -> bool:
    """Whether a person stopped the command (Ctrl-C), even if a library replaced the exception.

    Examples
    --------
    >>> was_stopped(RuntimeError("Query interrupted")), was_stopped(RuntimeError("of the program's own"))
    (True, False)
    """
    return any(isinstance(cause, KeyboardInterrupt) or str(cause) == _OF_DUCKDB for cause in _chain(error))


def require_working_folder() -> None:
    """Raise ContractError if the current folder was removed, since relative paths cannot be resolved."""
    try:
        Path.cwd()
    except OSError as error:
        raise ContractError(
            f"The current folder was deleted ({error.strerror}), so no relative path can be read. Change to "
            "an existing one"
        ) from error


def open_closed_streams() -> None:
    """Open the standard streams that the caller closed (``>&-``) on the null device.

    Otherwise the next opened file would get the number of a closed stream, and receive what libraries print.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until exit


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or here.__context__


def _number(error: BaseException) -> int | None:
    """Return the error number of the system; libraries in Rust and C++ contain it only in their text."""
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, EquipoiseError):  # its cause is more specific
        return None
    text = str(error)
    if found := _OF_RUST.search(text):
        return int(found[1])
    return next((number for words, number in _OF_C.items() if words in text), None)


def _describe(error: BaseException, cause: BaseException) -> str:
    """Return the message of the step if there is one, else the system's."""
    if isinstance(error, EquipoiseError):
        return str(error).rstrip(".")
    if isinstance(cause, OSError) and cause.errno and cause.filename:
        return f"'{cause.filename}': {cause.strerror}"
    return " ".join(str(cause).split())[:_LONGEST_REFUSAL].rstrip(".")


def _who() -> str:
    return (
        f"This user (uid {os.getuid()}) lacks permission: run the command as a user who has it, or choose "
        "other folders (--home, --surfaces, --out)"
    )


EXIT_CODE: Final = 3
_LONGEST_FAULT: Final = 500
"""Maximum characters of an error message that are printed: about a terminal's screen."""


def report_fault(error: BaseException, words: Sequence[str]) -> str:
    """Write the traceback to a file and return the message; ``words`` are the command line's arguments."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_FAULT]
    summary = as_printable(text)
    try:
        kept = f"Its traceback is in {write_traceback(error, find_home(words))}"
    except OSError as failure:
        kept = f"Its traceback could not be written ({failure})"
    return f"Unexpected {summary} - a fault of the program, not a verdict. {kept}"


def find_home(words: Sequence[str]) -> Path:
    """Return the state folder of the command line, even if its arguments are invalid.

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
    """Write an error's traceback to a new file below a home, and return its path."""
    folder = home / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{os.getpid()}-"
    descriptor, path = tempfile.mkstemp(prefix=name, suffix=".txt", dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(traceback.format_exception(error))
    return Path(path)
