"""Reading a file of text that a person, another program or a store wrote: every reader of `tasks` uses this.

::

    read_text     a regular file of at most so many bytes, in UTF-8
    read_json     its JSON

What is none ends in one error that names the file: a missing file, a folder, a pipe, a socket or a device,
also behind a link; a file that is too large or may not be read; other encodings; JSON that is torn or nested
too deeply. Nothing waits for a pipe's writer.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from tasks.errors import ContractError, EquipoiseError

LARGEST = 1 << 20
"""Bytes that a file has at most, where its reader names no other bound."""
LARGEST_DOCUMENT = 1 << 28
"""Bytes that a document of the program's own has at most: evidence, the list of a backup's files."""
_NO_FILE = "is not a regular file but a folder, a pipe or a device"


def read_regular_file(
    path: Path, *, largest: int = LARGEST, error: type[EquipoiseError] = ContractError
) -> bytes:
    """Read a regular file; raises as `read_text`."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise error(f"{path.name}: {_NO_FILE}. Looked for {path}")
            data = file.read(largest + 1)
    except OSError as reason:
        raise error(f"{path.name}: cannot be read ({reason.strerror}). Looked for {path}") from reason
    if len(data) > largest:
        raise error(
            f"{path.name}: is larger than {largest:,} bytes, the most that is read. Looked for {path}"
        )
    return data


def decode_text(data: bytes, name: str, *, error: type[EquipoiseError] = ContractError) -> str:
    """Decode what a file or a revision of that name holds; raises as `read_text`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise error(f"{name}: is not text in UTF-8, see byte {reason.start}. Save it in UTF-8") from reason


def read_text(path: Path, *, largest: int = LARGEST, error: type[EquipoiseError] = ContractError) -> str:
    """Read a file of text.

    Parameters
    ----------
    largest
        Bytes that the file has at most.
    error
        The class of the error that is raised.

    Raises
    ------
    EquipoiseError
        Of the given class: the file cannot be read, is no regular file, too large or not UTF-8.
    """
    return decode_text(read_regular_file(path, largest=largest, error=error), path.name, error=error)


def read_json(path: Path, *, largest: int = LARGEST, error: type[EquipoiseError] = ContractError) -> Any:
    """Read a file of JSON; raises as `read_text`, also where it is no JSON."""
    text = read_text(path, largest=largest, error=error)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as reason:
        raise error(f"{path.name}: is not JSON ({reason}). Looked for {path}") from reason
