"""The first line of a CSV file, plain or gzipped."""

import gzip
import zlib
from pathlib import Path

from tasks.errors import DataError

LONGEST_LINE = 100_000
"""Characters of a first line that are read; what is longer is no header."""


def read_first_line(path: Path) -> str:
    """Return the first line of a file in UTF-8.

    Raises
    ------
    DataError
        The file is no text, or its packing is broken.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return str(stream.readline(LONGEST_LINE))
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        kind = "gzipped CSV" if path.suffix == ".gz" else "CSV"
        raise DataError(f"{path} is not a {kind} in UTF-8: {error}") from error
