"""The rows of the log that take no part in any build, kept with rule, reason and the first as-of."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from tasks.logs.columns import File
from tasks.logs.quarantine import copy_new_bad_rows, find_bad_rows
from tasks.logs.tables import LogTables
from tasks.stores import delta
from tasks.stores.delta import DataFile
from tasks.stores.workspace import Workspace

_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("as_of", pa.timestamp("us", "UTC")),
        ("row", pa.string()),
        ("digest", pa.string()),
    ]
)


def keep_bad_rows(
    workspace: Workspace, log: LogTables, *, as_of: datetime, files: Mapping[str, Sequence[File]]
) -> int:
    """Append the bad rows that the quarantine does not hold yet; return how many there were.

    Parameters
    ----------
    files
        By table the files that hold a row without key, name or time.
    """
    find_bad_rows(log, as_of=as_of, files=files)
    table = workspace.quarantine
    version = delta.version_of(table)
    known = [file.path for file in delta.files_of(table)] if version is not None else []
    file = table / f"part-{uuid.uuid4()}.parquet"
    rows, size = copy_new_bad_rows(log, file, as_of=as_of, known=known)
    if rows == 0:
        file.unlink()
        return 0
    delta.commit(table, [DataFile(file, rows, size, {})], _SCHEMA, expected=version)
    return rows
