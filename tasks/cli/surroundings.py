"""What this machine refuses a command: the permission to read or write, room, a current folder, a stream.

::

    a file or folder that this user may not read or write, a read-only disk    ContractError, exit code 2
    a disk that is full or fails, a quota, a limit on the size of files        StoreError, exit code 3

Any line of any step may meet these, and libraries wrap them in errors of their own, so they are looked for
once, in whatever a command ended with and in what caused that.
"""

import errno
import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tasks.errors import ContractError, EquipoiseError, StoreError

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
_LONGEST: Final = 400
_STDERR: Final = 2
_OF_DUCKDB: Final = "Query interrupted"
"""What DuckDB says in a RuntimeError of its own where a signal ends a query."""


def find_refusal(error: BaseException) -> EquipoiseError | None:
    """Return the message on what the machine refused, where that ended a command; None where it was not that.

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
    """Return whether a person stopped the command (Ctrl-C), whatever a library made of that.

    Examples
    --------
    >>> was_stopped(RuntimeError("Query interrupted")), was_stopped(RuntimeError("of the program's own"))
    (True, False)
    """
    return any(isinstance(cause, KeyboardInterrupt) or str(cause) == _OF_DUCKDB for cause in _chain(error))


def require_working_folder() -> None:
    """Refuse to work where the current folder was removed: no relative path means anything there.

    Raises
    ------
    ContractError
        It is gone.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise ContractError(
            f"The current folder is gone ({error.strerror}), so no relative path can be read. Change to one "
            "that is there"
        ) from error


def open_closed_streams() -> None:
    """Let standard streams that the caller closed (``>&-``) lead nowhere.

    The next file that is opened would take a closed one's number, and what a library prints would go into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - to the end


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or here.__context__


def _number(error: BaseException) -> int | None:
    """Return the number of the system's error; libraries in Rust and C++ tell it in their texts alone."""
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, EquipoiseError):  # what caused it says more than its own text
        return None
    text = str(error)
    if found := _OF_RUST.search(text):
        return int(found[1])
    return next((number for words, number in _OF_C.items() if words in text), None)


def _describe(error: BaseException, cause: BaseException) -> str:
    """Return the step's own words, where it has some, else those of the machine."""
    if isinstance(error, EquipoiseError):
        return str(error).rstrip(".")
    if isinstance(cause, OSError) and cause.errno and cause.filename:
        return f"'{cause.filename}': {cause.strerror}"
    return " ".join(str(cause).split())[:_LONGEST].rstrip(".")


def _who() -> str:
    return (
        f"This user (uid {os.getuid()}) may not do that: run the command as who may, or name other folders "
        "(--home, --surfaces, --out)"
    )
