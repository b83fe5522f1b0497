"""A Spark session of the tests' own, small and silent, and builds of both engines to compare."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq

from tasks.contracts.surface import Engine
from tasks.labels import build as labels
from tasks.labels.build import LabelsResult
from tasks.labels.store import LabelStore
from tasks.logs.spark import session
from tasks.stores import delta
from tasks.stores.location import locate
from tasks.stores.workspace import Workspace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SMALL = {
    "spark.master": "local[1]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.codegen.wholeStage": "false",
    # what an installation may have set, and no build may mind
    "spark.sql.ansi.enabled": "false",
    "spark.sql.session.timeZone": "Asia/Kolkata",
    "spark.sql.parquet.outputTimestampType": "INT96",
}


@contextmanager
def small_session(folder: Path) -> Iterator["SparkSession"]:
    """Open the session that builds find: it labels a log of a hundred rows in a third of the usual time."""
    from pyspark.sql import SparkSession

    with session(folder, Engine(name="spark", threads=1, memory="1GB")):
        pass  # the virtual machine has started, as the product starts it: its output goes to a file
    warehouse = {"spark.sql.warehouse.dir": (folder / "warehouse").as_uri()}
    spark = SparkSession.builder.config(map={**_SMALL, **warehouse}).getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def with_spark(workspace: Workspace, home: Path) -> Workspace:
    """Return the same surface and logs with the other engine and a home of its own."""
    home.mkdir(exist_ok=True)
    (home / "logs").symlink_to(workspace.home / "logs")
    return Workspace.open(workspace.surface, surfaces=workspace.surfaces, home=home, engine="spark")


def assert_equal_builds(workspace: Workspace, *as_ofs: datetime, home: Path) -> list[LabelsResult]:
    """Build with both engines, instant after instant: all that is told, and every row, must be equal."""
    other, built = with_spark(workspace, home), []
    for as_of in as_ofs:
        built.append(labels.run(workspace, as_of=as_of))
        assert labels.run(other, as_of=as_of) == built[-1]
        pd.testing.assert_frame_equal(rows(other), rows(workspace), check_exact=True)
        assert files_but_committed(other) == []
    return built


def rows(workspace: Workspace) -> pd.DataFrame:
    """Return the whole of a surface's newest labels, every column with its type."""
    store = LabelStore(workspace.store, workspace.surface)
    last = store.last()
    assert last is not None
    path = locate(last.path)
    committed = delta.schema_of(path).remove_metadata()
    for file in delta.files_of(path):
        found = {field.name: field.type for field in pq.read_schema(file.path)}
        assert found == {field.name: field.type for field in committed if field.name != "ds"}
    return last.read(committed.names).to_pandas()


def files_but_committed(workspace: Workspace) -> list[Path]:
    """Return what lies in the label table's folder beside its log and the files of its versions."""
    table = workspace.home / "labels" / workspace.surface
    known = {
        file.path
        for version in range((delta.version_of(table) or 0) + 1)
        for file in delta.files_of(table, version)
    }
    found = [p for p in table.rglob("*") if p.is_file() and "_delta_log" not in p.parts]
    return sorted(p for p in found if p not in known)
