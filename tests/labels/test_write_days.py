"""Labels written by day, with the rows, sizes and digests of their files."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.labels.build_record import Written
from tasks.labels.compile import compile_days
from tasks.labels.query import Horizon
from tasks.labels.relations import find_files, find_label_days
from tasks.labels.write_days import write_labels
from tests.logs.small_log import Shop, at, impressions
from tests.stores.local_path import local

DAYS = (date(2024, 3, 1), date(2024, 3, 2))


def written(shop: Shop, folder: Path, *days: date, as_of: float = 1000) -> Written:
    with shop.opened(as_of) as log:
        wanted, spec = find_label_days(log.contracts.tasks, days), log.contracts.tasks
        query = compile_days(log, spec, horizon=Horizon.whole(at(as_of)), days=wanted, labels_only=True)
        return write_labels(log, query, find_files(log, wanted), folder)


def test_each_day_has_its_files_and_no_other(shop: Shop, tmp_path: Path) -> None:
    found = written(shop, tmp_path / "labels", *DAYS)
    assert {day: rows for day, (rows, _) in found.days.items()} == {DAYS[0]: 4, DAYS[1]: 2}
    assert {f.path.parent.name for f in found.files} == {"ds=2024-03-01", "ds=2024-03-02"}
    assert sorted(f.path for f in found.files) == sorted((tmp_path / "labels").rglob("*.parquet"))
    assert all(
        (f.rows, f.size) == (pq.read_metadata(f.path).num_rows, local(f.path).stat().st_size)
        for f in found.files
    )


def test_the_day_lies_in_the_path_and_in_the_columns(shop: Shop, tmp_path: Path) -> None:
    found = written(shop, tmp_path, *DAYS)
    names = pq.read_schema(found.files[0].path).names
    assert found.schema.names == [*names[:6], "ds", *names[6:]]
    assert str(found.schema.field("click").type) == "int8"
    assert str(found.schema.field("click__at").type) == "timestamp[us, tz=UTC]"


def test_a_nested_column_travels_with_the_labels(shop: Shop, tmp_path: Path) -> None:
    """Also one of times without a zone, and of pairs: a footer then has more columns than the table."""
    more = {"pair": pa.array([{"a": 1, "b": "x"}] * 6), "bare": pa.array([0] * 6, pa.timestamp("ns"))}
    shop.put("impressions", impressions(**more))
    found = written(shop, tmp_path, *DAYS)
    assert {day: rows for day, (rows, _) in found.days.items()} == {DAYS[0]: 4, DAYS[1]: 2}
    assert found.schema.field("pair").type == pa.struct({"a": pa.int64(), "b": pa.string()})


def test_one_day_is_labelled_as_it_is_among_all(shop: Shop, tmp_path: Path) -> None:
    whole = written(shop, tmp_path / "whole", *DAYS)
    for day in DAYS:
        alone = written(shop, tmp_path / f"{day}", day)
        assert alone.days == {day: whole.days[day]}


def test_a_second_writing_adds_files_and_changes_none(shop: Shop, tmp_path: Path) -> None:
    first, second = (written(shop, tmp_path, *DAYS) for _ in range(2))
    assert first.days == second.days
    assert {f.path for f in first.files}.isdisjoint(f.path for f in second.files)
    assert all(f.path.is_file() for f in (*first.files, *second.files))
