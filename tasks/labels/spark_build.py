"""Computes labels with Spark from the files that DuckDB checked, and moves them to the table's folder.

::

    impressions, events    the same files, with the same names and types
    repeated, first_of...  the repeated keys that DuckDB found, passed as small files
    <task>__credited ...   cached in memory or on disk during the build
    labels                 <session's folder>/labels/ds=.../part-*.parquet, then moved to the table's folder

Spark writes to a separate folder, because the first of two jobs that write to the same folder removes the
other's temporary files when it ends. A build that fails in Spark therefore leaves no files in the table.
"""

import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types
from sqlglot import exp

from tasks import columns as c
from tasks.errors import ContractError, StoreError
from tasks.labels.query import LabelQuery
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.parquet_footer import unreadable
from tasks.logs.spark import address, read_parquet, session
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.stores.delta import DataFile, part_name
from tasks.stores.location import Location, ObjectPath

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LOG = logging.getLogger("equipoise")
_COPY = "COPY (SELECT * FROM $table) TO $file (FORMAT parquet)"

Files = Mapping[str, Sequence[File]]
"""The files of each log table that a build reads."""


def write_with_spark(
    log: LogTables, query: LabelQuery, labels: exp.Query, read: Files, folder: Location, *, schema: pa.Schema
) -> list[DataFile]:
    """Run a compiled query in Spark, and write its rows to a folder as ``ds=<day>/part-*.parquet``."""
    staged = log.folder / "labels"
    with session(log.folder.parent, log.contracts.surface.engine) as spark:
        for table, files in read.items():
            _log_table(spark, log, table, files).createOrReplaceTempView(table)
        _hand_over(spark, log)
        for name, relation in query.on_the_cut.items():
            _run(spark, relation).createOrReplaceTempView(name)
        with _cached(spark, query.credit):
            rows_by_day = _run(spark, labels).hint("rebalance", c.DAY)
            rows_by_day.write.partitionBy(c.DAY).parquet(address(staged))
    return _move_files(log, staged, folder, schema)


def _run(spark: "SparkSession", query: exp.Query) -> "DataFrame":
    return spark.sql(x.render(query, "spark"))


def _log_table(spark: "SparkSession", log: LogTables, table: str, files: Sequence[File]) -> "DataFrame":
    """Return some files of a table with the names and types of DuckDB's view of them.

    Files with the same schema are read together, because Spark merges different schemas in another way.
    """
    groups: dict[pa.Schema, list[Path]] = {}
    for file in files:
        if isinstance(file.path, ObjectPath):
            raise ContractError(
                f"{table}: the engine spark reads no object store ({file.path}). Mount it, or use --engine "
                "duckdb"
            )
        groups.setdefault(_schema(table, file.path), []).append(file.path)
    frame: DataFrame | None = None
    for schema, paths in groups.items():
        part = _part(spark, log, table, schema, paths)
        frame = part if frame is None else frame.unionAll(part)
    return frame if frame is not None else _empty(spark, log, table)


def _schema(table: str, file: Path) -> pa.Schema:
    """Return the columns of a file; DuckDB may read a footer that pyarrow reports as damaged."""
    try:
        return pq.read_schema(file).remove_metadata()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(table, file, error) from error


def _part(
    spark: "SparkSession", log: LogTables, table: str, schema: pa.Schema, paths: Sequence[Path]
) -> "DataFrame":
    source = log.views[table]
    options = {"basePath": f"file:{log.logs}"} if source.table.in_folders else {}
    frame = read_parquet(spark, *paths, **options)
    there = {name.lower() for name in frame.columns}
    columns = []
    for name_here, kind in log.types[table].items():
        name_in_log = source.columns[name_here].name
        value = _read(name_in_log, schema) if name_in_log.lower() in there else exp.Null()
        read = x.finite(value) if log.nan_is_null(name_here, kind) else _cast(value, kind)
        columns.append(_sql(x.alias(read, name_here)))
    return frame.selectExpr(*columns)


def _read(name: str, schema: pa.Schema) -> exp.Expr:
    """Return a column as Spark reads it; nanoseconds, which Spark reads as numbers, are rounded down."""
    field = schema.field(name) if name in schema.names else None
    if field is None or not (types.is_timestamp(field.type) and field.type.unit == "ns"):
        return x.column(name)
    number = x.column(name)
    rest = x.call("PMOD", number, x.integer(1000))
    return x.call(
        "TIMESTAMP_MICROS",
        exp.IntDiv(this=exp.paren(exp.Sub(this=number.copy(), expression=rest)), expression=x.integer(1000)),
    )


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(kind, dialect="duckdb"))


def _sql(expression: exp.Expr) -> str:
    return expression.sql(dialect="spark", identify=True)


def _empty(spark: "SparkSession", log: LogTables, table: str) -> "DataFrame":
    nulls = [
        _sql(x.alias(_cast(exp.Null(), kind), name_here)) for name_here, kind in log.types[table].items()
    ]
    return spark.range(0).selectExpr(*nulls)


def _hand_over(spark: "SparkSession", log: LogTables) -> None:
    """Pass to Spark the repeated keys and ids, and the first row of each, that DuckDB found in all files."""
    for name in rows.CUT if log.log.has_event_ids else rows.CUT[:2]:
        file = log.folder / f"{name}.parquet"
        log.connection.execute(x.fill(_COPY, table=x.table(name), file=x.text(file)))
        read_parquet(spark, file).createOrReplaceTempView(name)


@contextmanager
def _cached(spark: "SparkSession", credit: Mapping[str, Mapping[str, exp.Query]]) -> Iterator[None]:
    """Create every task's relations and cache them for the relations that depend on them."""
    cached = []
    try:
        for relations in credit.values():
            for name, relation in relations.items():
                cached.append(_run(spark, relation).cache())
                cached[-1].createOrReplaceTempView(name)
        yield
    finally:
        for frame in cached:
            frame.unpersist()


def _move_files(log: LogTables, staged: Path, folder: Location, schema: pa.Schema) -> list[DataFile]:
    """Move Spark's files into the table's folder under new names: all of them, or none."""
    wanted = schema.remove(schema.get_field_index(c.DAY))
    written = [
        _describe_file(file, folder, part_name(log.folder.parent, str(uuid.uuid4())), wanted)
        for file in sorted(staged.glob(f"{c.DAY}=*/part-*.parquet"))
    ]
    try:
        for file, to in written:
            _put(file, to.path)
    except OSError as error:
        for _, to in written:
            if isinstance(to.path, Path):
                with suppress(OSError):
                    to.path.unlink()
        raise StoreError(f"Spark's labels cannot be put into {folder}: {error}") from error
    return [to for _, to in written]


def _describe_file(file: Path, folder: Location, name: str, wanted: pa.Schema) -> tuple[Path, DataFile]:
    """Return one of Spark's files with its target; its columns must equal DuckDB's."""
    footer = pq.read_metadata(file)
    columns = footer.schema.to_arrow_schema().remove_metadata()
    if [(f.name, f.type) for f in columns] != [(f.name, f.type) for f in wanted]:
        raise StoreError(f"Spark wrote columns that DuckDB would not: {columns}, expected: {wanted}")
    day = file.parent.name
    to = folder / day / f"{name}.parquet"
    return file, DataFile(to, footer.num_rows, file.stat().st_size, {c.DAY: day.removeprefix(f"{c.DAY}=")})


def _put(file: Path, to: Location) -> None:
    if isinstance(to, ObjectPath):
        to.put(file)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, to)
