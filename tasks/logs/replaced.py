"""Files of a log that are written again or removed while it is read: one message, whatever it led to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb

from tasks.errors import DataError, StoreError
from tasks.logs.footers import File, View
from tasks.stores.location import identity_of


def refuse_replaced(views: Mapping[str, View]) -> None:
    """Refuse a log of which a file is no longer the one that was opened.

    Raises
    ------
    DataError
        A file was written again, or removed.
    """
    files = ((name, file) for name, view in views.items() for file in view.table.files)
    replaced = [(name, file) for name, file in files if _is_replaced(file)]
    if replaced:
        table, file = replaced[0]
        more = f" ({len(replaced) - 1} more)" if len(replaced) > 1 else ""
        raise DataError(
            f"{table}: {file.path} was written again or removed while it was read{more}. Run this again once "
            "no one writes to the log; deliver new files, and do not change those that are there"
        )


@contextmanager
def watched(views: Mapping[str, View]) -> Iterator[None]:
    """Let a failure to read files that were replaced meanwhile say so."""
    try:
        yield
    except (duckdb.Error, OSError, DataError, StoreError) as error:
        try:
            refuse_replaced(views)
        except DataError as said:
            raise said from error
        raise


def _is_replaced(file: File) -> bool:
    try:
        return identity_of(file.path) != file.identity
    except OSError:
        return True
