"""Files of a small Delta table of numbers by day, and the numbers that are visible."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.stores import delta
from tasks.stores.delta import DataFile

SCHEMA = pa.schema([("n", pa.int64()), ("ds", pa.date32())])


def written(table: Path, day: str, *numbers: int) -> DataFile:
    path = table / f"ds={day}" / f"part-{numbers[0]}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"n": pa.array(numbers, pa.int64())}), path)
    return DataFile(path, len(numbers), path.stat().st_size, {"ds": day})


def numbers(table: Path, version: int | None = None) -> list[int]:
    return sorted(delta.read(table, ["n"], version=version).column("n").to_pylist())
