"""What a build wrote, whichever engine wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from tasks.stores.location import Location


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file of one day."""

    path: Location
    rows: int
    size: int
    day: date


@dataclass(frozen=True)
class Written:
    """The files of a build, their columns, and each day's rows and sum of digests."""

    files: tuple[WrittenFile, ...]
    schema: pa.Schema
    days: Mapping[date, tuple[int, int]]
