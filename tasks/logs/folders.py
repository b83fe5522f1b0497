"""Folders whose names are columns, as in ``source=ads/part.parquet``.

::

    <logs>/feed/source=ads/part-0.parquet      a column 'source', 'ads' in every row of the file

All files of a table lie in such folders, or none. An engine takes the outermost folder of a name, wherever in
the path it is, and wants the same names of all files. It also lets a folder stand in place of a file's own
column of that name. What it would read otherwise than a person is refused.
"""

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from tasks.columns import DAY
from tasks.errors import DataError
from tasks.logs.parquet_footer import Chunk
from tasks.stores.location import Location, relative_path


def folder_columns(file: Location, below: Location) -> tuple[str, ...]:
    """Return the columns that are folders between a file and a folder above it.

    Examples
    --------
    >>> from pathlib import Path
    >>> folder_columns(Path("/logs/feed/source=ads/n=1=2/part.parquet"), Path("/logs"))
    ('source',)
    """
    return tuple(name for name, _ in _columns(relative_path(below, file).parts[:-1]))


def refuse_unlike_folders(table: str, files: Iterable[Location], below: Location) -> None:
    """Refuse files that lie in folders of other columns, or twice in folders of one.

    Raises
    ------
    DataError
        The folders' names are no columns of the whole table.
    """
    first: tuple[Location, frozenset[str]] | None = None
    for file in files:
        own = frozenset(folder_columns(file, below))
        everywhere = [name for name, _ in _columns(str(file).split("/")[:-1])]
        for name in own:
            if everywhere.count(name) > 1 or any(sign in name for sign in "'\""):
                raise DataError(
                    f"{table}: the folders of {file} name the column '{name}' "
                    f"{'with a quote' if everywhere.count(name) == 1 else 'twice'}: rename the folder"
                )
        first = first or (file, own)
        if own != first[1]:
            raise DataError(
                f"{table}: folders such as name=value are columns, and all files must lie in the same: "
                f"{first[0]} lies in {_list(first[1])}, {file} in {_list(own)}. Move the files, or "
                "rename the folders"
            )


def refuse_shadowed_columns(
    table: str, file: Location, below: Location, texts: Mapping[str, Iterable[Chunk] | None]
) -> None:
    """Refuse a file of which a column has other values than the folder of its name, which an engine reads.

    The day shown is made anew, so neither counts.

    Parameters
    ----------
    texts
        The file's columns, each with the statistics of its values; None where they are no texts.

    Raises
    ------
    DataError
        Such a folder lies below the logs and has another value, or lies above them.
    """
    if not (own := folder_columns(file, below)):
        return
    folders = {name.lower(): (name, unquote(value)) for name, value in _columns(str(file).split("/")[:-1])}
    for column, chunks in texts.items():
        name, value = folders.get(column.lower(), (DAY, ""))
        if name == DAY or (name in own and (chunks is None or _all_are(chunks, value))):
            continue
        raise DataError(
            f"{table}: {file} holds a column '{column}' and lies in a folder {name}={value[:100]}, which "
            f"would be read in its stead{'' if name in own else ', though it lies above the logs'}. Leave "
            "the column out of the files, or rename the folder"
        )


def _all_are(chunks: Iterable[Chunk], value: str) -> bool:
    """Return whether a column has no value but one, as far as statistics tell."""
    return all(
        chunk.nulls == chunk.values or (chunk.nulls == 0 and chunk.least == chunk.greatest == value)
        for chunk in chunks
    )


def _columns(folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        name, equals, value = folder.partition("=")
        if name and equals and "=" not in value:
            yield name, value


def _list(names: frozenset[str]) -> str:
    return ", ".join(f"{name}=..." for name in sorted(names)) or "none"
