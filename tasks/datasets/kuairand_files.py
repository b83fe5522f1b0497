"""The files of the KuaiRand-Pure download: which there are, their columns, and what is refused at their door.

::

    data/log_standard_*_pure.csv[.gz]          what was shown and what came of it; one file or more
    data/user_features_pure.csv[.gz]           a row a user
    data/video_features_basic_pure.csv[.gz]    a row a video

The layout is public and fixed: a column too many is refused like one too few, for it is another data set.
"""
# ruff: noqa: S608 - the statements are made of the names above; paths and types are parameters

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb

from tasks.datasets.csv_files import read_first_line
from tasks.errors import DataError, unknown

LOG: Final = "log_standard_*_pure.csv"
USERS: Final = "user_features_pure.csv"
VIDEOS: Final = "video_features_basic_pure.csv"

Files = Mapping[str, Sequence[Path]]

_FLAGS: Final = (
    *("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view"),
    *("is_profile_enter", "is_rand"),
)

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    LOG: {
        **dict.fromkeys(("user_id", "video_id", "date", "hourmin", "time_ms"), "BIGINT"),
        **dict.fromkeys(("play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"), "BIGINT"),
        **dict.fromkeys(_FLAGS, "BOOLEAN"),
        "tab": "INTEGER",
    },
    USERS: {
        "user_id": "BIGINT",
        "user_active_degree": "VARCHAR",
        **dict.fromkeys(("is_lowactive_period", "is_live_streamer", "is_video_author"), "INTEGER"),
        **dict.fromkeys(("follow_user_num", "fans_user_num", "friend_user_num", "register_days"), "BIGINT"),
        **dict.fromkeys(("follow_user_num_range", "fans_user_num_range"), "VARCHAR"),
        **dict.fromkeys(("friend_user_num_range", "register_days_range"), "VARCHAR"),
        **{f"onehot_feat{n}": "DOUBLE" for n in range(18)},
    },
    VIDEOS: {
        **dict.fromkeys(("video_id", "author_id", "music_id"), "BIGINT"),
        **dict.fromkeys(("video_type", "upload_type", "tag"), "VARCHAR"),
        "upload_dt": "DATE",
        **dict.fromkeys(("visible_status", "video_duration", "server_width", "server_height"), "DOUBLE"),
        "music_type": "DOUBLE",
    },
}
"""Each kind of file, with its columns and the types that they are read as."""

_TABLES: Final = {LOG: "log", USERS: "user_features", VIDEOS: "video_features"}
_REQUIRED: Final = {LOG: ("user_id", "video_id", "time_ms"), USERS: ("user_id",), VIDEOS: ("video_id",)}


def find_files(source: Path) -> Files:
    """Find the download's files in a folder or its ``data``, and check their headers.

    Raises
    ------
    DataError
        The folder or a file is missing, a file is empty, or its header is not the download's.
    """
    if not source.is_dir():
        raise DataError(f"{source} is not a folder. Name that of the KuaiRand-Pure download (--source).")
    folder = source / "data" if (source / "data").is_dir() else source
    files = {pattern: _matching(folder, pattern) for pattern in COLUMNS}
    for pattern, found in files.items():
        for path in found:
            _check_header(path, COLUMNS[pattern])
    return files


def _matching(folder: Path, pattern: str) -> list[Path]:
    found = sorted([*folder.glob(pattern), *folder.glob(f"{pattern}.gz")])
    if not found:
        here = sorted(path.name for path in folder.glob("*.csv*"))
        raise DataError(f"{folder} holds no {pattern}[.gz]. {unknown('file', pattern, here)}")
    if len({path.name.removesuffix(".gz") for path in found}) < len(found):
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder} holds {names}: the same lines twice. Keep each file plain or gzipped.")
    return found


def _check_header(path: Path, columns: Mapping[str, str]) -> None:
    line = read_first_line(path)
    if not line.strip():
        raise DataError(f"{path} is empty. Its first line should be {','.join(columns)}")
    found = next(csv.reader([line]))
    if len(found) == 1:
        raise DataError(
            f"{path} has no comma in its first line: '{line.strip()[:80]}'. Columns are expected to be"
            f" separated by commas: {','.join(columns)}"
        )
    for name in found:
        if name not in columns:
            raise DataError(unknown("column", name, columns, where=str(path)))
    if lacking := [name for name in columns if name not in found]:
        raise DataError(f"{path} lacks column {', '.join(lacking)}. It holds {', '.join(found)}.")
    if len(set(found)) < len(found):
        raise DataError(f"{path} names a column twice: {', '.join(found)}.")


def load_files(session: duckdb.DuckDBPyConnection, files: Files) -> None:
    """Make the tables ``log``, ``user_features`` and ``video_features``.

    Raises
    ------
    DataError
        A value is of another type than its column, a file holds no row, a key is missing or stands twice.
    """
    for pattern, found in files.items():
        table = _TABLES[pattern]
        for number, path in enumerate(found):
            into = f"INSERT INTO {table} BY NAME" if number else f"CREATE TABLE {table} AS"
            _load(session, into, path, COLUMNS[pattern])
        _check_rows(session, pattern, found)


def _load(session: duckdb.DuckDBPyConnection, into: str, path: Path, columns: Mapping[str, str]) -> None:
    order = next(csv.reader([read_first_line(path)]))
    typed = {name: columns[name] for name in order}
    read = "read_csv($path, columns = $columns, header = true, delim = ',', quote = '\"', nullstr = '')"
    try:
        session.execute(f"{into} SELECT * FROM {read}", {"path": str(path), "columns": typed})
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _check_rows(session: duckdb.DuckDBPyConnection, pattern: str, found: Sequence[Path]) -> None:
    table, names = _TABLES[pattern], ", ".join(path.name for path in found)
    required = _REQUIRED[pattern]
    unkeyed = " OR ".join(f"{name} IS NULL" for name in required)
    query = f"SELECT count(*), count(*) FILTER ({unkeyed}), count(DISTINCT {required[0]}) FROM {table}"
    rows, without_key, distinct = session.execute(query).fetchall()[0]
    where = f"{found[0].parent}: {names}"
    if not rows:
        raise DataError(f"{where} holds no row below its header.")
    if without_key:
        raise DataError(f"{where}: {without_key} of {rows} rows have no {' or '.join(required)}.")
    if pattern != LOG and distinct < rows:
        raise DataError(f"{where}: {rows - distinct} rows repeat a {required[0]}; one row each is expected.")
