"""The Spark engine: its labels are DuckDB's, row for row and byte for byte of the digest."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from tasks import columns as c
from tasks.contracts import TasksSpec
from tasks.datasets.complete_journey import import_complete_journey, week_start
from tasks.datasets.kuairand import import_kuairand
from tasks.datasets.world.generate import generate
from tasks.errors import ContractError, DataError, StoreError
from tasks.labels import build as labels
from tasks.labels.compile import label_query
from tasks.labels.query import Form, Horizon
from tasks.labels.show import show
from tasks.labels.store import LabelStore
from tasks.sql.expressions import render
from tasks.stores.workspace import Workspace
from tests.datasets.journey_tables import two_households
from tests.datasets.kuairand_tables import Download, moment
from tests.feeds import mini
from tests.feeds.days_of_logs import NAME, Logs, at, event
from tests.labels import worlds
from tests.labels.engine import LOG
from tests.labels.reference import Label, Reference, Row
from tests.logs.spark_home import assert_equal_builds, files_but_committed, rows, small_session, with_spark
from tests.stores.local_path import local

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
SURFACES = Path(__file__).parents[2] / "surfaces"


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SparkSession]":
    with small_session(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs.random(tmp_path, seed=1)


# -- the three surfaces


def test_home_feed_is_labelled_as_by_duckdb(tmp_path: Path) -> None:
    home = tmp_path / "home"
    generate(days=8, requests_per_day=12, seed=3, out=home / "logs" / "home_feed")
    surfaces = mini.write_contracts(tmp_path / "surfaces")
    workspace = Workspace.open("home_feed", surfaces=surfaces, home=home)
    first, second = (mini.FIRST + timedelta(days=n) for n in (6, 8))
    _, built = assert_equal_builds(workspace, first, second, home=tmp_path / "spark")
    assert 0 < built.partitions_written < 8
    assert show(workspace).tasks["click_30m"]["positive"] > 0


def test_weekly_circular_is_labelled_as_by_duckdb(tmp_path: Path) -> None:
    source, home = two_households().write(tmp_path / "source"), tmp_path / "home"
    import_complete_journey(source=source, out=home / "logs" / "weekly_circular", first_week=14)
    workspace = Workspace.open("weekly_circular", surfaces=SURFACES, home=home)
    (built,) = assert_equal_builds(workspace, week_start(22), home=tmp_path / "spark")
    assert built.rows == 6
    assert any(counts["positive"] for counts in show(workspace).tasks.values())


def test_short_video_is_labelled_as_by_duckdb(tmp_path: Path) -> None:
    made = Download.of(users=(1, 2, 3))
    for day in range(3):
        made.shows(1, 100, moment(day, 1), "is_click", "long_view")
        made.shows(1, 101, moment(day, 2), "is_hate", play_time_ms=100)
        made.shows(2, 100, moment(day, 3), "is_like", is_rand=day % 2)
    made.shows(1, 100, moment(0, 1), "is_click")
    made.shows(3, 101, moment(0, 9), play_time_ms=300_000, duration_ms=0)
    home = tmp_path / "home"
    import_kuairand(source=made.write(tmp_path / "source"), out=home / "logs" / "short_video", memory="1GB")
    workspace = Workspace.open("short_video", surfaces=SURFACES, home=home)
    (built,) = assert_equal_builds(workspace, moment(6, 0), home=tmp_path / "spark")
    assert built.quarantined["repeated_key"] == 1
    assert show(workspace).tasks["click"]["positive"] > 0


# -- every rule, on random logs


def test_a_store_that_spark_keeps_up_to_date_is_duckdbs(logs: Logs, tmp_path: Path) -> None:
    """Twins, rows without a key, late events and corrected rows, over three builds."""
    logs.impressions += [dict(logs.impressions[0]), {**logs.impressions[1], "request_id": None}]
    logs.events += [
        {**logs.events[0], "event": None},
        event("wave", at(2)),
        event("click", at(2), item_id=99),
    ]
    workspace = logs.write()
    assert_equal_builds(workspace, at(6), at(8.5), home=tmp_path / "spark")
    logs.events.append(event("click", at(5.5), ingested_at=at(10.5)))
    logs.write()
    other = Workspace.open(NAME, surfaces=workspace.surfaces, home=tmp_path / "spark", engine="spark")
    late, again = (labels.run(one, as_of=at(11)) for one in (workspace, other))
    assert again == late
    assert labels.run(other, as_of=at(11)).partitions_written == 0


def test_engines_take_turns_in_one_store(logs: Logs, tmp_path: Path) -> None:
    workspace = logs.write()
    whole = with_spark(workspace, tmp_path / "mixed")
    for as_of, engine in ((at(5), "spark"), (at(7), "duckdb"), (at(9), "spark")):
        built = labels.run(
            Workspace.open(NAME, surfaces=whole.surfaces, home=whole.home, engine=engine),  # type: ignore[arg-type]  # one of the two
            as_of=as_of,
        )
        assert built.snapshot == labels.run(workspace, as_of=as_of).snapshot


@settings(max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
@given(worlds.contracts(), worlds.logs(), worlds.as_ofs)
@pytest.mark.parametrize("form", list(Form))
def test_both_forms_equal_brute_force(
    spark: "SparkSession",
    tmp_path_factory: pytest.TempPathFactory,
    form: Form,
    spec: TasksSpec,
    log: tuple[list[Row], list[Row]],
    as_of: datetime,
) -> None:
    """One statement, as `labels sql --dialect spark` prints it, in a session that is in no way prepared."""
    folder = tmp_path_factory.mktemp("world")
    impressions, events = log
    pq.write_table(worlds.impression_table(impressions), folder / "impressions.parquet")
    pq.write_table(worlds.event_table(events), folder / "events.parquet")
    for table in ("impressions", "events"):
        spark.read.parquet((folder / f"{table}.parquet").as_uri()).createOrReplaceTempView(table)
    usual = label_query(spec, Horizon.whole(as_of), log=LOG)
    can = {one.name: form for of_task in usual.creditings.values() for one in of_task if form in one.forms}
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    sql = render(label_query(spec, Horizon.whole(as_of), log=LOG, forms=can).statement(), "spark")
    found = spark.sql(sql).collect()
    told = {
        (row.request_id, row.item_id): {
            task: Label(row[task], row[c.status(task)], _utc(row[c.at(task)])) for task in spec.tasks
        }
        for row in found
    }
    assert told == Reference(spec, impressions, events, as_of).labels()
    assert len(told) == len(found)


def _utc(instant: datetime | None) -> datetime | None:
    """Give a time that Spark tells in the machine's zone its own."""
    return None if instant is None else instant.astimezone(UTC)


# -- the log's columns


def last_nanosecond_of(micros: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return instants in microseconds as numbers of nanoseconds, 999 later."""
    return pc.add(pc.multiply(micros.cast(pa.int64()), 1000), 999)


def test_files_of_any_name_of_parquet_are_read_as_duckdb_reads_them(logs: Logs, tmp_path: Path) -> None:
    expected = labels.run(logs.write(home="by its own name"), as_of=at(5)).digest
    workspace = logs.write()
    for table in ("impressions", "events"):
        files = sorted((local(workspace.logs) / NAME / table).iterdir())
        for file, name in zip(files, ("a.PQ", "000000_0"), strict=True):
            file.rename(file.with_name(name))
    assert assert_equal_builds(workspace, at(5), home=tmp_path / "spark")[0].digest == expected


def test_columns_of_every_type_are_read_as_duckdb_reads_them(logs: Logs, tmp_path: Path) -> None:
    workspace = logs.write()
    dice = Random(5)  # noqa: S311 - test data
    for n, file in enumerate(sorted((workspace.logs / NAME / "impressions").iterdir())):
        table = pq.read_table(file)
        shown = table.column("shown_at")
        more: dict[str, Any] = {
            "nanoseconds": last_nanosecond_of(shown).cast(pa.timestamp("ns", "UTC")),
            "milliseconds": shown.cast(pa.timestamp("ms", "UTC")),
            "naive": shown.cast(pa.timestamp("us")),
            "naive_nanoseconds": last_nanosecond_of(shown).cast(pa.timestamp("ns")),
            "day": shown.cast(pa.date32()),
            "price": pa.array([dice.randrange(10_000) / 100 for _ in shown]).cast(pa.decimal128(12, 2)),
            "word": pa.array([dice.choice(["ä", "b", None]) for _ in shown]).dictionary_encode(),
            "tiny": pa.array([dice.randrange(200) for _ in shown], pa.uint8()),
            "middle": pa.array([dice.randrange(60_000) for _ in shown], pa.uint16()),
            "wide": pa.array([dice.randrange(2**32) for _ in shown], pa.uint32()),
            "huge": pa.array([dice.randrange(2**62) for _ in shown], pa.uint64()),
            "narrow": pa.array([dice.random() for _ in shown], pa.float32()),
            "odd": pa.array([dice.choice([float("nan"), -0.0, 1.5, None]) for _ in shown]),
            "tags": pa.array([dice.choice([["a", "b"], [], None]) for _ in shown], pa.list_(pa.string())),
            "pair": pa.array([dice.choice([{"a": 1, "b": "x"}, None]) for _ in shown]),
            "counts": pa.array([[("a", 1)] for _ in shown], pa.map_(pa.string(), pa.int32())),
            "bytes": pa.array([dice.choice([b"a", None]) for _ in shown], pa.binary()),
            "nothing": pa.nulls(len(shown)),
            'my "price" `${x}`': pa.array([dice.random() for _ in shown]),
            # what the files do not agree on
            "grows": pa.array([dice.randrange(100) for _ in shown], pa.int32() if n else pa.int64()),
            "mixed": pa.array([dice.randrange(100) for _ in shown], pa.int64() if n else pa.float64()),
            **({"only_here": pa.array([1] * len(shown))} if n else {}),
        }
        places = pa.array([dice.choice([float("nan"), 1.0, 2.0, None]) for _ in shown])
        for name, values in {**more, "position": places}.items():
            table = table.drop_columns([name] if name in table.column_names else []).append_column(
                name, values
            )
        pq.write_table(table.drop_columns(["visible"]), file)
    (built,) = assert_equal_builds(workspace, at(9), home=tmp_path / "spark")
    assert built.rows > 0
    assert {"price", "only_here", "tags"} <= set(rows(workspace).columns)


def test_folders_can_be_columns_and_columns_can_have_other_names(logs: Logs, tmp_path: Path) -> None:
    workspace = logs.write()
    folder = local(workspace.logs / NAME / "impressions")
    for file in sorted(folder.iterdir()):
        table = pq.read_table(file).rename_columns({"shown_at": "served", "kind": "category"})
        for source in ("ads", "a b"):
            to = folder / f"source={source}" / file.name
            to.parent.mkdir(exist_ok=True)
            half = table.slice(0, 20) if source == "ads" else table.slice(20)
            pq.write_table(half, to)
        file.unlink()
    surface = workspace.surfaces / NAME / "surface.yaml"
    text = surface.read_text(encoding="utf-8")
    surface.write_text(f"{text}columns: {{shown_at: served, kind: category}}\n", encoding="utf-8")
    assert_equal_builds(workspace, at(9), home=tmp_path / "spark")
    assert set(rows(workspace)["source"]) == {"ads", "a b"}


PATTERNS = ["0", "1", "[01]", "*", "?"]
"""Names of files, of which some are patterns that match others."""


def test_names_of_files_that_are_patterns_are_literal(logs: Logs, tmp_path: Path) -> None:
    workspace = logs.write()
    for table in ("impressions", "events"):
        folder = local(workspace.logs / NAME / table)
        rows_of = pa.concat_tables(pq.read_table(file) for file in sorted(folder.iterdir()))
        shutil.rmtree(folder)
        size = -(-rows_of.num_rows // len(PATTERNS))
        for n, name in enumerate(PATTERNS):
            to = folder / name / f"{name}.parquet"
            to.parent.mkdir(parents=True)
            pq.write_table(rows_of.slice(n * size, size), to)
    (built,) = assert_equal_builds(workspace, at(9), home=tmp_path / "spark")
    assert built.rows > 0


# -- tables of the catalog


@pytest.fixture
def catalog(spark: "SparkSession", logs: Logs) -> Iterator[Workspace]:
    """The tables of the log in the database ``shop``, and the surface that names them."""
    workspace = logs.write()
    spark.sql("CREATE DATABASE shop")
    surface = workspace.surfaces / NAME / "surface.yaml"
    text = surface.read_text(encoding="utf-8")
    for table in ("impressions", "events"):
        spark.read.parquet(local(workspace.logs / NAME / table).as_uri()).write.saveAsTable(f"shop.{table}")
        text = text.replace(f"{NAME}/{table}", f"spark://shop.{table}")
    surface.write_text(f"{text}engine: {{name: spark}}\n", encoding="utf-8")
    yield Workspace.open(NAME, surfaces=workspace.surfaces, home=logs.folder / "from_tables")
    spark.sql("DROP DATABASE shop CASCADE")


def test_tables_of_the_catalog_are_a_log(catalog: Workspace, logs: Logs) -> None:
    built = labels.run(catalog, as_of=at(9))
    shutil.rmtree(logs.folder / "surfaces")
    assert built.snapshot == labels.run(logs.write(), as_of=at(9)).snapshot
    assert list((catalog.home / "tmp").iterdir()) == []


def test_a_table_that_the_catalog_lacks_is_told_with_those_that_it_has(
    catalog: Workspace, spark: "SparkSession"
) -> None:
    spark.sql("DROP TABLE shop.events")
    with pytest.raises(
        DataError, match=r"No events: Unknown table 'events' in Spark's database shop\. Known: impressions\."
    ):
        labels.run(catalog, as_of=at(9))
    spark.sql("DROP DATABASE shop CASCADE")
    with pytest.raises(DataError, match=r"Unknown database 'shop' in Spark's catalog\. Known: default\."):
        labels.run(catalog, as_of=at(9))
    spark.sql("CREATE DATABASE shop")


def test_duckdb_reads_no_table_of_the_catalog(catalog: Workspace) -> None:
    with pytest.raises(ContractError, match=r"set engine: \{name: spark\}"):
        labels.run(
            Workspace.open(NAME, surfaces=catalog.surfaces, home=catalog.home, engine="duckdb"), as_of=at(9)
        )


# -- what fails


def test_a_type_that_spark_does_not_know_is_refused_with_the_way_out(logs: Logs, tmp_path: Path) -> None:
    workspace = with_spark(logs.write(), tmp_path / "spark")
    for file in (workspace.logs / NAME / "impressions").iterdir():
        table = pq.read_table(file)
        ids = pa.array([bytes(16)] * table.num_rows, pa.uuid())
        pq.write_table(table.append_column("id", ids), file)
    with pytest.raises(DataError, match=r"Spark cannot read the log; --engine duckdb may: .*UUID"):
        labels.run(workspace, as_of=at(9))
    duckdb = Workspace.open(NAME, surfaces=workspace.surfaces, home=logs.folder / "home")
    assert labels.run(duckdb, as_of=at(9)).rows > 0


def test_a_build_that_fails_in_the_middle_leaves_the_last_snapshot_and_no_file(
    logs: Logs, tmp_path: Path
) -> None:
    workspace = with_spark(logs.write(), tmp_path / "spark")
    first = labels.run(workspace, as_of=at(6))
    before = rows(workspace)
    obstacle = workspace.home / "labels" / NAME / "ds=2024-03-07"
    obstacle.write_text("in the way of a folder", encoding="utf-8")
    with pytest.raises(StoreError, match="Spark's labels cannot be put into"):
        labels.run(workspace, as_of=at(9))
    assert files_but_committed(workspace) == [obstacle]
    last = LabelStore(workspace.store, NAME).last()
    assert last is not None
    assert last.id == first.snapshot
    assert rows(workspace).equals(before)
    obstacle.unlink()
    duckdb = Workspace.open(NAME, surfaces=workspace.surfaces, home=logs.folder / "home")
    assert labels.run(workspace, as_of=at(9)).snapshot == labels.run(duckdb, as_of=at(9)).snapshot


def test_events_of_one_id_count_once_as_by_duckdb(logs: Logs, tmp_path: Path) -> None:
    for n, row in enumerate(logs.events):
        row["event_id"] = f"e{n}"
    late = [{**row, "value": 9.0, "ingested_at": at(7)} for row in logs.events[::2]]
    logs.events = [*late, *logs.events, *logs.events[::3]]
    (built,) = assert_equal_builds(logs.write(), at(8.5), home=tmp_path / "spark")
    assert built.counts["events"]["repeated"] > 0
    assert built.quarantined["conflicting_event"] > 0
