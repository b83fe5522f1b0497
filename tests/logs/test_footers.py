"""Spans of time: whole microseconds, and nothing where the writer kept no statistics."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.logs.footers import Span, read_footers

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def span(folder: Path, values: list[int | None], unit: str, **how: bool) -> Span | None:
    file = folder / "log.parquet"
    column = pa.array(values, pa.int64()).cast(pa.timestamp(unit, "UTC"))
    pq.write_table(pa.table({"shown_at": column, "n": [1] * len(values)}), file, **how)
    (found,) = read_footers("impressions", [file], below=folder).files
    return found.spans["shown_at"]


@pytest.mark.parametrize(
    ("unit", "first", "last", "microseconds"),
    [
        ("ns", 1_709_337_600_000_123_001, 1_709_337_600_000_123_999, (1_709_337_600_000_123,) * 2),
        ("ns", -1_001, -1, (-2, -1)),
        ("us", 1_709_337_600_000_123, 1_709_337_600_000_124, (1_709_337_600_000_123, 1_709_337_600_000_124)),
        ("ms", 5, 7, (5_000, 7_000)),
        ("s", 5, 7, (5_000_000, 7_000_000)),
    ],
)
def test_a_span_is_rounded_down_to_whole_microseconds(
    tmp_path: Path, unit: str, first: int, last: int, microseconds: tuple[int, int]
) -> None:
    begin, end = (EPOCH + timedelta(microseconds=n) for n in microseconds)
    assert span(tmp_path, [last, first], unit) == Span(begin, end, nulls=False)


def test_a_span_says_whether_there_are_nulls(tmp_path: Path) -> None:
    found = span(tmp_path, [None, 7], "us")
    assert found is not None
    assert (found.last, found.nulls) == (EPOCH + timedelta(microseconds=7), True)


def test_without_statistics_nothing_is_known_of_a_span(tmp_path: Path) -> None:
    assert span(tmp_path, [5, 7], "us", write_statistics=False) is None
