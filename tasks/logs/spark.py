"""Spark for surfaces that choose it: sessions, and copies of its catalog's tables as Parquet.

::

    with session(scratch, engine) as spark:       local[threads], or EQUIPOISE_SPARK_MASTER
        spark.sql("...")

    <scratch>/spark/spark.log      output of the virtual machine, which never reaches the terminal
    <scratch>/spark/tmp/           spilled data
    <scratch>/spark/warehouse/     stays empty: no table is created

The virtual machine starts with the first session of a process and ends with the process; later sessions share
it. If the program already has a Spark session, a new session of the same application is used. Settings of the
installation in ``spark-defaults.conf``, such as a catalog, apply.
"""

import logging
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tasks.contracts.surface import Engine, SparkTable
from tasks.errors import ContractError, DataError, StoreError, unknown
from tasks.settings import Settings, limits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PATTERN: Final = frozenset("*?[]{}\\")
"""Characters of a path that Spark may interpret as a pattern."""
_DATA = ("22", "0A", "42846")
"""SQL states of errors in values and types, as opposed to machine failures."""

_ANY_PYTHON: Final = "python3"
"""The Python that Spark starts for Python functions if PYSPARK_PYTHON and other settings name none."""

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.compression.codec": "snappy",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.variable.substitute": "false",
}
"""Settings under which Spark reads, computes and writes like DuckDB, whatever the installation sets."""


@contextmanager
def session(scratch: Path, engine: Engine) -> Iterator["SparkSession"]:
    """Open a session; failures raise one-line errors."""
    _check_installed()
    _silence()
    from py4j.protocol import Py4JError  # noqa: PLC0415 - optional dependency
    from pyspark.errors import PySparkException  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    folder = scratch / "spark"
    running = SparkSession.getActiveSession()
    try:
        spark = running.newSession() if running is not None else _start(folder, engine)
        try:
            if spark.sparkContext.pythonExec == _ANY_PYTHON:
                spark.sparkContext.pythonExec = sys.executable
            for name, value in _SETTINGS.items():
                spark.conf.set(name, value)
            yield spark
        finally:
            if running is None:
                spark.stop()
    except (PySparkException, Py4JError) as error:
        message = f"{_first_line(error)}. See {folder / 'spark.log'}"
        if isinstance(error, PySparkException) and (error.getSqlState() or "").startswith(_DATA):
            raise DataError(f"Spark cannot read the log; --engine duckdb may: {message}") from error
        raise StoreError(f"Spark failed: {message}") from error


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message, or of its Java exception's."""
    java = getattr(error, "java_exception", None)
    return str(java.getMessage() if java is not None else error).strip().splitlines()[0].rstrip(".")


def copy_table(source: SparkTable, to: Path, *, table: str, engine: Engine) -> None:
    """Write a table or view of the catalog to a folder of Parquet files."""
    with session(to.parent.parent, engine) as spark:
        name = _quoted(source.names)
        if not spark.catalog.tableExists(name):
            raise DataError(f"No {table}: {_missing(spark, source)}")
        spark.table(name).write.parquet(address(to))


def address(path: Path) -> str:
    """Return a path of this machine in Spark's format, which is not percent-encoded.

    Examples
    --------
    >>> address(Path("/srv/a home"))
    'file:/srv/a home'
    """
    return f"file:{path}"


def read_parquet(spark: "SparkSession", *paths: Path, **options: str) -> "DataFrame":
    """Read files by name, without interpreting any character as a pattern.

    With several paths, Spark matches paths that look like patterns against the others, whatever its options,
    and reads some files twice. Such paths are therefore read one at a time.
    """
    reader = spark.read.options(__globPaths__="false", **options)
    plain = [path for path in paths if _PATTERN.isdisjoint(str(path))]
    alone = [[path] for path in paths if not _PATTERN.isdisjoint(str(path))]
    groups = [plain, *alone] if plain else alone
    frames = (reader.parquet(*map(address, group)) for group in groups)
    return reduce(lambda frame, other: frame.unionByName(other), frames)


def _missing(spark: "SparkSession", source: SparkTable) -> str:
    *above, name = source.names
    where = _quoted(above)
    if not spark.catalog.databaseExists(where):
        known = [database.name for database in spark.catalog.listDatabases()]
        return unknown("database", ".".join(above), known, where="Spark's catalog")
    known = [listed.name for listed in spark.catalog.listTables(where) if not listed.isTemporary]
    return unknown("table", name, known, where=f"Spark's database {'.'.join(above)}")


def _quoted(names: "list[str] | tuple[str, ...]") -> str:
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def _check_installed() -> None:
    try:
        import pyspark  # noqa: F401, PLC0415 - optional dependency
    except ImportError:
        raise ContractError(
            "The engine spark needs the extra `spark`: pip install 'equipoise[spark]', and Java 17"
        ) from None
    home = Settings().java_home
    if not (shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")):
        where = f"there is none in JAVA_HOME ({home})" if home else "there is none on the PATH"
        raise ContractError(
            f"The engine spark needs Java 17 or later: {where}. On Debian: apt-get install "
            "openjdk-17-jre-headless"
        )


def _silence() -> None:
    """Prevent Spark's Python side from writing to the terminal; the exception reports the failure."""
    from pyspark.logger import PySparkLogger  # noqa: PLC0415 - optional dependency

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    logging.getLogger("py4j").setLevel(logging.WARNING)
    # Spark's pandas functions are not used here
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)


def _start(folder: Path, engine: Engine) -> "SparkSession":
    """Start a session, and with a process's first session the virtual machine, which logs to a file."""
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - optional dependency
    from pyspark.java_gateway import launch_gateway  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    configuration = SparkConf().setAll(list(_configuration(folder, engine).items()))
    with (folder / "spark.log").open("ab") as log:
        opened = SparkContext._gateway  # noqa: SLF001 - pyspark has no public name for it
        gateway = opened or launch_gateway(configuration, {"stdout": log, "stderr": log})
    return SparkSession(SparkContext(conf=configuration, gateway=gateway))


def _configuration(folder: Path, engine: Engine) -> dict[str, str]:
    size = limits(engine.threads, engine.memory)
    master = Settings().spark_master or f"local[{size.threads}]"
    temporary = shlex.quote(f"-Djava.io.tmpdir={folder / 'tmp'}")
    common = {
        "spark.app.name": "equipoise",
        "spark.master": master,
        "spark.driver.memory": _memory(size.memory),
        "spark.driver.extraJavaOptions": f"{temporary} -XX:-UsePerfData",
        "spark.local.dir": str(folder / "tmp"),
        "spark.pyspark.python": sys.executable,
        "spark.sql.warehouse.dir": address(folder / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if not master.startswith("local"):
        return common
    alone = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(4 * size.threads),
    }
    return common | alone


def _memory(text: str) -> str:
    """Return an amount of memory in Java's notation.

    Examples
    --------
    >>> _memory("4GB")
    '4g'
    """
    matched = re.fullmatch(r"(\d+)\s*([MG])i?B", text, re.IGNORECASE)
    if matched is None:
        raise ContractError(f"EQUIPOISE_MEMORY = '{text}' is not a memory size of Spark. Write it as 4GB")
    return f"{matched[1]}{matched[2].lower()}"
