"""Labels made by Spark over the same files that DuckDB checked, and put beside those that DuckDB writes.

::

    impressions, events    the same files, under the same names, as the same types
    repeated, twins        what DuckDB found already, handed over as small files
    <task>__credited ...   kept in memory or on disk while the build lasts
    labels                 <session's folder>/labels/ds=.../part-*.parquet, then moved into the table's folder

Spark writes aside: of two jobs that write below one folder, the first to end removes the other's temporary
files. So a build that fails in Spark leaves nothing in the table's folder, and what comes there is whole.
"""

import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types
from sqlglot import exp

from tasks import columns as c
from tasks.errors import ContractError, StoreError
from tasks.labels.compile import LabelQuery
from tasks.labels.files import WrittenFile
from tasks.logs import rows
from tasks.logs.footers import File
from tasks.logs.spark import address, read_parquet, session
from tasks.logs.tables import LogTables
from tasks.sql import expressions as x
from tasks.sql.templates import fill, render
from tasks.stores.location import Location, ObjectPath

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_LOG = logging.getLogger("equipoise")
_COPY = "COPY (SELECT * FROM $table) TO $file (FORMAT parquet)"

Files = Mapping[str, Sequence[File]]
"""Of each log table, the files that a build reads."""


def write_with_spark(
    log: LogTables, query: LabelQuery, labels: exp.Query, read: Files, folder: Location, *, schema: pa.Schema
) -> tuple[WrittenFile, ...]:
    """Run a compiled query in Spark, and put its rows below a folder as ``ds=<day>/part-<uuid>.parquet``.

    Parameters
    ----------
    query, labels
        The relations, and the query over them whose rows are written.
    schema
        The columns as DuckDB would write them.

    Raises
    ------
    StoreError
        Spark failed, or wrote other columns than DuckDB would.
    """
    staged = log.folder / "labels"
    with session(log.folder.parent, log.contracts.surface.engine) as spark:
        for table, files in read.items():
            _log_table(spark, log, table, files).createOrReplaceTempView(table)
        _hand_over(spark, log)
        for name, relation in query.on_the_cut.items():
            _run(spark, relation).createOrReplaceTempView(name)
        with _kept(spark, query.credit):
            found = _run(spark, labels).hint("rebalance", c.DAY)
            found.write.partitionBy(c.DAY).parquet(address(staged))
    return _moved(staged, folder, schema)


def _run(spark: "SparkSession", query: exp.Query) -> "DataFrame":
    return spark.sql(render(query, "spark"))


def _log_table(spark: "SparkSession", log: LogTables, table: str, files: Sequence[File]) -> "DataFrame":
    """Return some files of a table as DuckDB's view of them is: same names, same types.

    Files of one schema are read together: Spark would not join those of several as DuckDB does.
    """
    groups: dict[pa.Schema, list[Path]] = {}
    for file in files:
        if isinstance(file.path, ObjectPath):
            raise ContractError(
                f"{table}: the engine spark reads no object store ({file.path}). Mount it, or use --engine "
                "duckdb"
            )
        groups.setdefault(pq.read_schema(file.path).remove_metadata(), []).append(file.path)
    found: DataFrame | None = None
    for schema, paths in groups.items():
        part = _part(spark, log, table, schema, paths)
        found = part if found is None else found.unionAll(part)
    return found if found is not None else _empty(spark, log, table)


def _part(
    spark: "SparkSession", log: LogTables, table: str, schema: pa.Schema, paths: Sequence[Path]
) -> "DataFrame":
    source = log.views[table]
    options = {"basePath": f"file:{log.logs}"} if source.table.in_folders else {}
    frame = read_parquet(spark, *paths, **options)
    there = {name.lower() for name in frame.columns}
    columns = []
    for ours, kind in log.types[table].items():
        theirs = source.columns[ours].name
        value = _read(theirs, schema) if theirs.lower() in there else exp.Null()
        columns.append(_sql(x.alias(_cast(value, kind), ours)))
    return frame.selectExpr(*columns)


def _read(name: str, schema: pa.Schema) -> exp.Expr:
    """Return a column as Spark has it; nanoseconds, which it reads as numbers, as microseconds."""
    field = schema.field(name) if name in schema.names else None
    if field is None or not (types.is_timestamp(field.type) and field.type.unit == "ns"):
        return x.column(name)
    return x.call("TIMESTAMP_MICROS", exp.IntDiv(this=x.column(name), expression=x.integer(1000)))


def _cast(value: exp.Expr, kind: str) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(kind, dialect="duckdb"))


def _sql(expression: exp.Expr) -> str:
    return expression.sql(dialect="spark", identify=True)


def _empty(spark: "SparkSession", log: LogTables, table: str) -> "DataFrame":
    nulls = [_sql(x.alias(_cast(exp.Null(), kind), ours)) for ours, kind in log.types[table].items()]
    return spark.range(0).selectExpr(*nulls)


def _hand_over(spark: "SparkSession", log: LogTables) -> None:
    """Give Spark the repeated keys and the impressions that stay of them: DuckDB found them in all files."""
    for name in (rows.REPEATED, rows.FIRST):
        file = log.folder / f"{name}.parquet"
        log.connection.execute(fill(_COPY, table=x.table(name), file=x.text(file)))
        read_parquet(spark, file).createOrReplaceTempView(name)


@contextmanager
def _kept(spark: "SparkSession", credit: Mapping[str, Mapping[str, exp.Query]]) -> Iterator[None]:
    """Make every task's relations, kept so that what builds on one does not make it again."""
    kept = []
    try:
        for task, relations in credit.items():
            _LOG.info("labels: crediting %s", task)
            for name, relation in relations.items():
                kept.append(_run(spark, relation).cache())
                kept[-1].createOrReplaceTempView(name)
        yield
    finally:
        for frame in kept:
            frame.unpersist()


def _moved(staged: Path, folder: Location, schema: pa.Schema) -> tuple[WrittenFile, ...]:
    """Put Spark's files into the table's folder under names of their own: all of them, or none."""
    wanted = schema.remove(schema.get_field_index(c.DAY))
    written = [_written(file, folder, wanted) for file in sorted(staged.glob(f"{c.DAY}=*/part-*.parquet"))]
    try:
        for file, to in written:
            _put(file, to.path)
    except OSError as error:
        for _, to in written:
            if isinstance(to.path, Path):
                with suppress(OSError):
                    to.path.unlink()
        raise StoreError(f"Spark's labels cannot be put into {folder}: {error}") from error
    return tuple(to for _, to in written)


def _written(file: Path, folder: Location, wanted: pa.Schema) -> tuple[Path, WrittenFile]:
    """Return one of Spark's files and what it will be in the table's folder; its columns must be DuckDB's."""
    footer = pq.read_metadata(file)
    found = footer.schema.to_arrow_schema().remove_metadata()
    if [(f.name, f.type) for f in found] != [(f.name, f.type) for f in wanted]:
        raise StoreError(f"Spark wrote columns that DuckDB would not: {found}, wanted: {wanted}")
    day = file.parent.name
    to = folder / day / f"part-{uuid.uuid4()}.parquet"
    when = date.fromisoformat(day.partition("=")[2])
    return file, WrittenFile(to, footer.num_rows, file.stat().st_size, when)


def _put(file: Path, to: Location) -> None:
    if isinstance(to, ObjectPath):
        to.put(file)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, to)
