"""A folder that appears whole or not at all, and the Parquet files in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out`` that takes its place at the end; a failure leaves nothing.

    What a killed run left there is swept first. ``out`` must be absent or empty.
    """
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


class ParquetFiles:
    """Writers of Parquet files below a folder, one row group a table; one file of a kind is open at a time.

    Strings are stored as plain strings: the Arrow schema, which would bring dictionaries back, is left out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, tuple[str | None, pq.ParquetWriter]] = {}

    def write(self, kind: str, name: str | None, table: pa.Table) -> None:
        """Append a table to ``<kind>/<name>.parquet``, or to ``<kind>.parquet`` where there is no name.

        Another name of the same kind closes the file before it.
        """
        if kind in self._open and self._open[kind][0] != name:
            self._open.pop(kind)[1].close()
        if kind not in self._open:
            path = self._folder / (f"{kind}.parquet" if name is None else f"{kind}/{name}.parquet")
            path.parent.mkdir(exist_ok=True)
            self._open[kind] = (name, _writer(path, table.schema))
        self._open[kind][1].write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, writer in self._open.values():
            writer.close()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    words = [f.name for f in schema if pa.types.is_dictionary(f.type)]
    return pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=words, store_schema=False)
