"""Folders whose names are columns, as in ``source=ads/part.parquet``.

::

    <logs>/feed/source=ads/part-0.parquet      a column 'source', 'ads' in every row of the file

All files of a table lie in such folders, or none. An engine takes the outermost folder of a name, wherever in
the path it is, and wants the same names of all files. What it would read otherwise than a person is refused.
"""

from collections.abc import Iterable, Iterator

from tasks.errors import DataError
from tasks.stores.location import Location, relative_path


def folder_columns(file: Location, below: Location) -> tuple[str, ...]:
    """Return the columns that are folders between a file and a folder above it.

    Examples
    --------
    >>> from pathlib import Path
    >>> folder_columns(Path("/logs/feed/source=ads/n=1=2/part.parquet"), Path("/logs"))
    ('source',)
    """
    return tuple(_columns(relative_path(below, file).parts[:-1]))


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
        everywhere = list(_columns(str(file).split("/")[:-1]))
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


def _columns(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        name, equals, value = folder.partition("=")
        if name and equals and "=" not in value:
            yield name


def _list(names: frozenset[str]) -> str:
    return ", ".join(f"{name}=..." for name in sorted(names)) or "none"
