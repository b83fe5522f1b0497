"""Delta tables: data files written by any engine, committed in one log.

::

    engine writes <table>/ds=2024-03-01/part-<uuid>.parquet      not visible yet
    commit(..., replace=["2024-03-01"])                          one atomic commit replaces the old files

Versions are kept for ten years, so a snapshot that a release pins stays readable. Files of a killed writer
belong to no version, and the next writer of the same home removes them. A table is a folder or a prefix of an
object store. In a folder, a commit that has returned is durable with its files. Damage by a power failure is
handled as follows:

    newest commit is empty or torn     set aside by the next writer
    an older commit is missing         StoreError, which names it and the remedy
    a damaged checkpoint               set aside by the first reader, which reads the commits instead
"""

import json
import logging
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final, Literal
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Schema, write_deltalake
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from tasks.errors import Overtaken, StoreError
from tasks.stores.files import flush_files, set_aside, sha256
from tasks.stores.location import (
    Location,
    Stored,
    listing,
    locate,
    read_bytes,
    relative_path,
    storage_options,
)

LOG: Final = "_delta_log"
COMMITS: Final = f"{'[0-9]' * 20}.json"
_LAST: Final = "_last_checkpoint"
_CHECKPOINTS: Final = "*.checkpoint*.parquet"
_LOGGER: Final = logging.getLogger("equipoise")


def set_torn_commits_aside(path: Location) -> list[Path]:
    """Remove empty or torn newest commits of a table from its log, and return their new locations.

    Commits are visible only as a whole, so only a machine that lost its last writes leaves a torn one. Its
    rows are lost too, and the table returns to the previous version.
    """
    aside = []
    commits = sorted((path / LOG).glob(COMMITS), reverse=True) if isinstance(path, Path) else []
    for commit in commits:
        if not _is_torn(commit):
            break
        aside.append(set_aside(commit))
        _LOGGER.warning("%s was incomplete: it is moved to %s and rebuilt", commit, aside[-1].name)
    return aside


def _is_torn(commit: Path) -> bool:
    try:
        return not [json.loads(line) for line in commit.read_bytes().splitlines()]
    except ValueError:
        return True


def flush_commit(path: Location, version: int) -> None:
    """Flush a commit and its files to the disk."""
    if not isinstance(path, Path):
        return
    commit = path / LOG / f"{version:020}.json"
    actions = [json.loads(line) for line in commit.read_bytes().splitlines()]
    added = [path / unquote(action["add"]["path"]) for action in actions if "add" in action]
    flush_files([*added, commit])


_UNREADABLE = (DeltaError, OSError, ValueError)


def table_exists(path: Location) -> bool:
    """Return whether a table exists."""
    try:
        return bool(DeltaTable.is_deltatable(str(path), storage_options(path)))
    except OSError as error:
        raise StoreError(f"The store of {path} does not answer: {error}") from error


def open_table(path: Location, version: int | None = None) -> DeltaTable:
    """Open a table at a version, by default the newest."""
    try:
        return _open(path, version)
    except TableNotFoundError as error:
        raise StoreError(f"No Delta table at {path}") from error
    except _UNREADABLE as error:
        commits = sorted(int(PurePosixPath(name).stem) for name in listing(path / LOG, COMMITS))
        gap = _describe_gap(commits)
        opened = _open_by_commits(path, version) if gap is None and version in {None, *commits} else None
        if opened is not None:
            return opened
        at = "" if version is None else f" at version {version}"
        raise StoreError(f"The Delta table {path}{at} cannot be read: {gap or error}") from error


def _open(path: Location, version: int | None) -> DeltaTable:
    """Open a table; a panic of Delta's engine, which is not an Exception, becomes an OSError."""
    try:
        return DeltaTable(str(path), version=version, storage_options=storage_options(path))
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise OSError(f"Delta's engine failed: {error}") from error


def _open_by_commits(path: Location, version: int | None) -> DeltaTable | None:
    """Open a table without its checkpoints, which stay aside if this succeeds; None if it fails.

    Commits are kept as long as checkpoints, so the table is complete without them; the next hundredth commit
    writes a new one. Users without write permission and object stores, which tear no files, keep checkpoints
    in place.
    """
    found = [path / LOG / _LAST, *sorted((path / LOG).glob(_CHECKPOINTS))] if isinstance(path, Path) else []
    aside, opened = dict[Path, Path](), None
    try:
        try:
            for file in (file for file in found if file.is_file()):
                aside[set_aside(file)] = file
        except OSError as error:
            _LOGGER.debug("checkpoints of %s stay in place: %s", path, error)
        with suppress(*_UNREADABLE):
            opened = _open(path, version)
    finally:
        for there, own in aside.items():
            if opened is None:
                there.replace(own)
            else:
                _LOGGER.warning("%s could not be read: it is set aside as %s", own, there.name)
    return opened


def _describe_gap(commits: Sequence[int]) -> str | None:
    """Describe the version missing from a log, and the remedy; None if no version is missing."""
    missing = sorted(set(range(commits[0], commits[-1])) - set(commits)) if commits else []
    if not missing:
        return None
    return (
        f"its log lacks version {missing[0]}, the file {missing[0]:020}.json. Restore it from a backup; "
        "snapshots before it can be read. Without a backup, move the table's folder away and build it again"
    )


EVERYTHING: Final = "everything"
_KEPT: Final = {
    "delta.logRetentionDuration": "interval 3650 days",
    "delta.deletedFileRetentionDuration": "interval 3650 days",
}


@dataclass(frozen=True)
class DataFile:
    """A Parquet file inside a table's folder, with the values of its partition columns."""

    path: Location
    rows: int
    size: int
    partition: Mapping[str, str]


def version_of(path: Location) -> int | None:
    """Return the newest version of a table; None without a table."""
    return int(open_table(path).version()) if table_exists(path) else None


@dataclass(frozen=True)
class NewFiles:
    """Files to commit, the columns of their rows, and the partition column, if any."""

    files: Sequence[DataFile]
    schema: pa.Schema
    partition_by: str | None = None


def commit(
    path: Location,
    new: NewFiles,
    *,
    replace: Sequence[str] | Literal["everything"] = (),
    metadata: Mapping[str, str] | None = None,
    expected: int | None = None,
) -> int:
    """Commit files atomically, and return the table's version.

    Parameters
    ----------
    replace
        Values of the partition column whose earlier files are removed, or EVERYTHING, which also allows new
        columns; by default the files are appended.
    metadata
        Strings to store in the commit, which ``history`` returns.
    expected
        The version that the files are based on; None for a new table.
    """
    properties = CommitProperties(custom_metadata=dict(metadata or {}), max_commit_retries=0)
    actions = [_add(path, file) for file in new.files]
    columns = [new.partition_by] if new.partition_by else []
    delta_schema = Schema.from_arrow(new.schema)
    with _translate_commit_errors(path):
        if expected is None:
            create_table_with_add_actions(
                str(path), delta_schema, actions, mode="error", partition_by=columns,
                configuration=_KEPT, commit_properties=properties, storage_options=storage_options(path),
            )  # fmt: skip
            flush_commit(path, 0)
            return 0
        table = open_table(path, expected)
        filters = None if replace == EVERYTHING else [(new.partition_by, "in", list(replace))]
        table.create_write_transaction(
            actions, "overwrite" if replace else "append", delta_schema, columns,
            partition_filters=filters if replace else None, commit_properties=properties,
        )  # fmt: skip
    flush_commit(path, expected + 1)
    return expected + 1


@contextmanager
def _translate_commit_errors(path: Location) -> Iterator[None]:
    """Raise Overtaken if another writer was first, StoreError if the disk or the network failed."""
    try:
        yield
    except DeltaError as error:
        raise Overtaken(
            f"Another writer changed {path} meanwhile, so nothing was committed: run the step again ({error})"
        ) from error
    except OSError as error:
        raise StoreError(f"The commit to {path} failed, run the step again: {error}") from error


def discard(files: Iterable[Location]) -> None:
    """Remove files of a commit that failed.

    In an object store they are kept, because a lost response may look like a refusal.
    """
    for file in files:
        if isinstance(file, Path):
            file.unlink(missing_ok=True)


def history(path: Location, *, limit: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Return the versions of a table with their commit metadata, newest first."""
    return [(int(commit["version"]), commit) for commit in open_table(path).history(limit)]


def commit_info(path: Location, version: int) -> dict[str, Any]:
    """Return the commit metadata of a version, even if later commits are damaged."""
    file = path / LOG / f"{version:020}.json"
    try:
        actions = [json.loads(line) for line in read_bytes(file).splitlines()]
        (info,) = (action["commitInfo"] for action in actions if "commitInfo" in action)
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"The commit {file} cannot be read: {error}") from error
    return dict(info)


def committed(path: Location) -> dict[int, datetime]:
    """Return the time of each version's commit, newest first."""
    return {
        version: datetime.fromtimestamp(entry["timestamp"] / 1000, UTC) for version, entry in history(path)
    }


def files_of(path: Location, version: int | None = None) -> list[DataFile]:
    """Return the files of a version."""
    return _files_of(path, open_table(path, version))


def _files_of(path: Location, table: DeltaTable) -> list[DataFile]:
    actions = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
    partition = [name for name in actions.column_names if name.startswith("partition.")]
    return [
        DataFile(
            path / row["path"],
            row["num_records"],
            row["size_bytes"],
            {name.removeprefix("partition."): str(row[name]) for name in partition},
        )
        for row in actions.select(["path", "num_records", "size_bytes", *partition]).to_pylist()
    ]


def lost_files(path: Location, version: int | None = None) -> list[DataFile]:
    """Return the files of a version, by default the newest, that are missing or have another size."""
    there = listing(path, "**/*.parquet")
    return [
        f for f in files_of(path, version) if str(f.path) not in there or there[str(f.path)].size != f.size
    ]


def unneeded_files(path: Location, needed: Iterable[int], *, before: datetime) -> dict[str, Stored]:
    """Return old files in a table's folder that belong to none of the needed versions.

    These are the files of other versions, and files that killed writers left, written before an instant.
    """
    keep = {str(file.path) for version in set(needed) for file in files_of(path, version)}
    return {
        name: stored
        for name, stored in listing(path, "**/*").items()
        if name not in keep and LOG not in PurePosixPath(name).parts and stored.written < before
    }


def part_name(scratch: Path, unique: str) -> str:
    """Return the name of a new data file without its suffix.

    It identifies writers with this scratch folder, that is, of one home on this machine.
    """
    writers = sha256(f"{socket.gethostname()} {scratch.resolve()}".encode())[:8]
    return f"part-{writers}-{unique}"


def sweep_left_behind(path: Location, scratch: Path) -> None:
    """Remove data files that killed writers of a home left in a table's folder.

    The caller keeps the home's other writers out. Files of commits are never removed. Only files younger than
    the newest commit are checked, because each writer cleans up before it commits.
    """
    if not isinstance(path, Path):
        return
    commits = listing(path / LOG, COMMITS)
    newest = max((stored.written for stored in commits.values()), default=datetime.min.replace(tzinfo=UTC))
    own = listing(path, f"**/{part_name(scratch, '*')}.parquet")
    late = {Path(name) for name, stored in own.items() if stored.written > newest}
    actions = [json.loads(line) for name in commits if late for line in Path(name).read_bytes().splitlines()]
    for file in late - {path / unquote(action["add"]["path"]) for action in actions if "add" in action}:
        _LOGGER.info("%s was left by a writer that was killed: it is removed", file)
        file.unlink(missing_ok=True)


def schema_of(path: Location, version: int | None = None) -> pa.Schema:
    """Return the columns of a version."""
    schema: pa.Schema = pa.schema(open_table(path, version).schema())
    return schema


def append(path: Location, table: pa.Table) -> None:
    """Append rows in one commit; creates the table if it is missing."""
    set_torn_commits_aside(path)
    _write(path, table, mode="append", configuration=None if table_exists(path) else _KEPT)


def append_after(
    path: Location, table: pa.Table, *, version: int | None, most_files: int | None = None
) -> None:
    """Append rows in the commit that directly follows a version; None for a new table.

    Missing columns are added to the table. If it already has ``most_files``, the commit merges all rows into
    one file, and day-old files that neither version uses are removed.
    """
    once = CommitProperties(max_commit_retries=0)
    try:
        if version is None:
            _write(path, table, mode="error", configuration=_KEPT, commit_properties=once)
            return
        folds = most_files is not None and len(files_of(path, version)) >= most_files
        if folds:
            table = pa.concat_tables([read(path, version=version), table], promote_options="default")
        mode = "overwrite" if folds else "append"
        _write(path, table, at=version, mode=mode, schema_mode="merge", commit_properties=once)
    except DeltaError as error:
        raise Overtaken(f"Another writer added to {path} meanwhile, so nothing was written") from error
    if folds:
        a_day_ago = datetime.now(UTC) - timedelta(days=1)
        for name in unneeded_files(path, [version, version + 1], before=a_day_ago):
            locate(name).unlink(missing_ok=True)


def replace_rows(path: Location, table: pa.Table, *, where: Mapping[str, date | int | str]) -> None:
    """Replace the rows whose columns have the given values, in one commit.

    A new table is partitioned by these columns; missing columns are added.
    """
    set_torn_commits_aside(path)
    if not table_exists(path):
        _write(path, table, partition_by=list(where), configuration=_KEPT)
        return
    predicate = " AND ".join(f"{_quoted(name)} = {_literal(value)}" for name, value in where.items())
    _write(path, table, mode="overwrite", predicate=predicate, schema_mode="merge")


def read(path: Location, columns: Sequence[str] | None = None, *, version: int | None = None) -> pa.Table:
    """Read a small table; without a table, the result is empty and has no columns.

    pyarrow reads a folder's files and reports damaged bytes, where Delta's engine may abort the process.
    Delta's engine reads object stores, because pyarrow's threads there abort some processes at exit.
    """
    if not table_exists(path):
        return pa.table({})
    opened = open_table(path, version)
    schema = pa.schema(opened.schema())
    wanted = pa.schema([schema.field(name) for name in columns or schema.names])
    names = ", ".join(map(_quoted, wanted.names))
    try:
        if isinstance(path, Path) and not opened.metadata().partition_columns:
            parts = [_read_file(str(file.path), wanted) for file in _files_of(path, opened)]
            return pa.concat_tables([wanted.empty_table(), *parts])
        query = QueryBuilder().register("rows_of", opened)
        found = pa.table(query.execute(f"SELECT {names} FROM rows_of"))  # noqa: S608 - quoted column names
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise StoreError(f"The Delta table {path} cannot be read: {error}") from error
    return found.cast(wanted)


def _read_file(file: str, wanted: pa.Schema) -> pa.Table:
    """Read the columns of a file; columns added by later commits are null."""
    with pq.ParquetFile(file) as opened:
        held = opened.read(use_threads=False)
    held.validate(full=True)
    for absent in [one for one in wanted if one.name not in held.column_names]:
        held = held.append_column(absent, pa.nulls(len(held), absent.type))
    return held.select(wanted.names).cast(wanted)


def _write(path: Location, table: pa.Table, *, at: int | None = None, **how: Any) -> None:
    """Write with Delta's writer; ``at`` is the version that the commit must follow."""
    try:
        if at is None:
            write_deltalake(str(path), table, storage_options=storage_options(path), **how)
        else:
            write_deltalake(open_table(path, at), table, **how)
    except OSError as error:
        raise StoreError(f"{path} cannot be written, run the step again: {error}") from error
    newest = version_of(path)
    if newest is not None:
        flush_commit(path, newest)


def _add(path: Location, file: DataFile) -> AddAction:
    written = file.path.stat().st_mtime if isinstance(file.path, Path) else time.time()
    return AddAction(
        quote(str(relative_path(path, file.path)), safe="/="),
        file.size,
        dict(file.partition),
        int(written * 1000),
        True,
        json.dumps({"numRecords": file.rows}),
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: date | int | str) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
