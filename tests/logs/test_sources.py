"""Where a source's files are found, and that it cannot leave the logs folder.

Log tables in a real PostgreSQL: the labels of the same rows in files, and nothing secret in a message.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tasks.cli import main
from tasks.contracts.surface import PostgresTable
from tasks.errors import ContractError, DataError, EquipoiseError, StoreError
from tasks.labels import build as labels
from tasks.logs.sources import copy_table, resolve_path
from tasks.stores import delta
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME as SURFACE
from tests.feeds.days_of_logs import Logs, at
from tests.labels import worlds
from tests.logs.postgres_server import NAME, VARIABLE, Server, installed, running_server
from tests.logs.small_log import Shop, contracts, events, impressions
from tests.stores.local_path import local


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    for name in (
        "feed/impressions/b.parquet",
        "feed/impressions/a.parquet",
        "feed/impressions/deep/c.parquet",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"n": [1]}), root / name)
    (root / "feed/impressions/_partial.parquet").write_bytes(b"half")
    return root


def names(logs: Path, source: str) -> list[str]:
    return [
        local(f).relative_to(logs).as_posix() for f in resolve_path(source, logs=logs, table="impressions")
    ]


def test_a_glob_a_folder_and_a_file_are_sources(logs: Path) -> None:
    assert names(logs, "feed/impressions/*.parquet") == [
        "feed/impressions/a.parquet",
        "feed/impressions/b.parquet",
    ]
    assert len(names(logs, "feed/impressions")) == len(names(logs, "feed/**/*.parquet")) == 3
    assert names(logs, "feed/impressions/a.parquet") == ["feed/impressions/a.parquet"]


@pytest.mark.parametrize("name", ["d.pq", "d.parq", "D.PARQUET", "deep/000000_0"])
def test_a_file_of_a_folder_is_read_by_any_name_of_parquet(logs: Path, name: str) -> None:
    pq.write_table(pa.table({"n": [1]}), logs / "feed/impressions" / name)
    assert len(names(logs, "feed/impressions")) == 4


def test_a_file_of_a_folder_is_not_left_out_for_its_name(logs: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), logs / "feed/impressions/d.bak")
    with pytest.raises(DataError, match=r"impressions: .*d\.bak is a Parquet file by another name"):
        names(logs, "feed/impressions")


def test_a_delta_table_is_a_source_with_the_files_of_its_newest_version(logs: Path) -> None:
    table = logs / "feed" / "delta"
    for n in (1, 2):
        delta.append(table, pa.table({"n": [n]}))
    stray = table / "stray.parquet"
    pq.write_table(pa.table({"n": [3]}), stray)
    found = resolve_path("feed/delta", logs=logs, table="events")
    assert len(found) == 2
    assert stray not in found


@pytest.mark.parametrize("source", ["/etc/passwd", "../secret.parquet", "feed/../../secret.parquet"])
def test_a_source_outside_the_logs_folder_is_refused(logs: Path, source: str) -> None:
    with pytest.raises(ContractError, match="must stay inside the logs folder"):
        resolve_path(source, logs=logs, table="events")


def test_a_link_that_leaves_the_logs_folder_is_refused(logs: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "secret.parquet")
    (logs / "feed" / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    with pytest.raises(ContractError, match="outside the logs folder"):
        resolve_path("feed/*.parquet", logs=logs, table="events")


@pytest.mark.parametrize("source", ["feed/impressions/*.parquet", "feed/impressions", "feed/**/*.parquet"])
def test_a_file_and_a_link_to_it_do_not_count_twice(logs: Path, source: str) -> None:
    (logs / "feed/impressions/latest.parquet").symlink_to("b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet and .*latest\.parquet are one file"):
        resolve_path(source, logs=logs, table="events")


@pytest.mark.parametrize("source", ["feed/impressions/*.parquet", "feed/impressions", "feed/**/*.parquet"])
@pytest.mark.parametrize("target", ["nowhere", "late.parquet", "/dev/zero", None])
def test_a_pipe_a_device_or_a_link_to_nothing_is_not_left_out_in_silence(
    logs: Path, source: str, target: str | None
) -> None:
    file = logs / "feed/impressions/late.parquet"
    if target is None:
        os.mkfifo(file)
    else:
        file.symlink_to(target)
    with pytest.raises(
        DataError, match=r"late\.parquet: it is a folder, a pipe, a device or a link to nothing"
    ):
        resolve_path(source, logs=logs, table="impressions")
    file.rename(logs / "feed/impressions/_late.parquet")
    assert "feed/impressions/b.parquet" in names(logs, source), "what is set aside by its name is not read"


@pytest.mark.parametrize("source", ["feed/impressions", "feed/**/*.parquet"])
def test_a_linked_folder_that_no_search_follows_is_not_left_out_in_silence(logs: Path, source: str) -> None:
    (logs / "archive").mkdir()
    (logs / "feed/impressions/older").symlink_to(logs / "archive")
    assert len(names(logs, source)) == 3, "it holds no file"
    pq.write_table(pa.table({"n": [1]}), logs / "archive/d.parquet")
    with pytest.raises(DataError, match=r"older is a link to the folder .*archive, which is not followed"):
        resolve_path(source, logs=logs, table="events")
    assert names(logs, "feed/impressions/older/*.parquet") == ["feed/impressions/older/d.parquet"]


def test_a_link_to_a_folder_that_is_searched_anyway_adds_nothing(logs: Path) -> None:
    (logs / "feed/impressions/latest").symlink_to("deep")
    assert len(names(logs, "feed/impressions")) == 3


@pytest.mark.parametrize("source", ["feed/impressions/*.parquet", "feed/**/*.parquet", "feed/impressions"])
def test_a_folder_that_is_named_like_a_file_is_read_with_the_files_beside_it(logs: Path, source: str) -> None:
    before = names(logs, source)
    for name in ("part-0.parquet", "_temporary/part-1.parquet"):
        part = logs / "feed/impressions/day.parquet" / name
        part.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"n": [1]}), part)
    assert names(logs, source) == sorted([*before, "feed/impressions/day.parquet/part-0.parquet"])


def test_folders_that_a_pattern_matches_beside_files_are_named(
    logs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (logs / "feed/impressions/_partial.parquet").unlink()
    assert len(names(logs, "feed/impressions/*")) == 2
    (message,) = caplog.messages
    assert message.startswith("impressions: 'feed/impressions/*' matches folders too, and 1 Parquet file(s)")
    assert message.endswith("are not read, the first is feed/impressions/deep/c.parquet")


def test_the_logs_folder_itself_may_be_a_link(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(logs)
    assert len(names(tmp_path / "mounted", "feed/impressions/*.parquet")) == 2


@pytest.mark.parametrize(
    ("source", "said"), [("feed/events/*.parquet", "holds: impressions"), ("x.parquet", "feed")]
)
def test_where_nothing_is_it_says_what_is_there(logs: Path, source: str, said: str) -> None:
    with pytest.raises(
        DataError, match=f"No events: '{source}'.*{said}".replace("*", r"\*").replace(r".\*", ".*")
    ):
        resolve_path(source, logs=logs, table="events")


def test_without_a_logs_folder_it_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="EQUIPOISE_LOGS"):
        resolve_path("feed/events.parquet", logs=tmp_path / "none", table="events")


# -- names that no file has, and Delta tables that are more than their files


@pytest.mark.parametrize(
    "source", ["a" * 999, "a/" * 400 + "b", "feed/a**b/*.parquet", "feed/\0", "feed/***"]
)
def test_a_path_that_no_file_system_has_is_one_message(logs: Path, source: str) -> None:
    with pytest.raises(DataError, match="No events"):
        resolve_path(source, logs=logs, table="events")


def change_log(table: Path, **features: Any) -> None:
    """Give a Delta table a protocol with features of readers, and settings."""
    (commit,) = (table / "_delta_log").glob("*.json")
    lines = [json.loads(line) for line in commit.read_text().splitlines()]
    for line in lines:
        if "protocol" in line and (names := features.get("features")):
            version = {"minReaderVersion": 3, "minWriterVersion": 7}
            line["protocol"] = {**version, "readerFeatures": names, "writerFeatures": names}
        if "metaData" in line:
            line["metaData"]["configuration"] |= features.get("settings", {})
    commit.write_text("\n".join(map(json.dumps, lines)))


@pytest.mark.parametrize(
    "feature",
    ["deletionVectors", "columnMapping", "typeWidening", "variantType", "futureThing"],
)
def test_a_delta_table_that_is_more_than_its_files_is_refused_by_the_feature_s_name(
    logs: Path, feature: str
) -> None:
    delta.append(logs / "feed" / "delta", pa.table({"n": [1]}))
    settings = {"delta.columnMapping.mode": "name"} if feature == "columnMapping" else {}
    change_log(logs / "feed" / "delta", features=[feature, "timestampNtz"], settings=settings)
    with pytest.raises(
        DataError, match=rf"The Delta table of events at .*(?i:{feature}|column mapping)"
    ) as said:
        resolve_path("feed/delta", logs=logs, table="events")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "features", [["timestampNtz"], ["v2Checkpoint"], ["vacuumProtocolCheck", "columnMapping"]]
)
def test_a_delta_table_whose_rows_are_those_of_its_files_is_read(logs: Path, features: list[str]) -> None:
    delta.append(logs / "feed" / "delta", pa.table({"n": [1]}))
    change_log(logs / "feed" / "delta", features=features)
    assert len(resolve_path("feed/delta", logs=logs, table="events")) == 1


def test_a_torn_log_of_a_delta_table_is_one_line(logs: Path) -> None:
    delta.append(logs / "feed" / "delta", pa.table({"n": [1]}))
    (logs / "feed/delta/_delta_log/00000000000000000001.json").write_text('{"add":')
    with pytest.raises(DataError, match="cannot be read") as said:
        resolve_path("feed/delta", logs=logs, table="events")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "source", ["feed/delta/*.parquet", "feed", "feed/**/*.parquet", "feed/delta/_delta_log"]
)
def test_files_of_a_delta_table_are_not_read_past_its_log(logs: Path, source: str) -> None:
    """A file that an older version held, and the newest does not, is still there."""
    delta.append(logs / "feed" / "delta", pa.table({"n": [1]}))
    DeltaTable(str(logs / "feed" / "delta")).create_checkpoint()
    with pytest.raises(DataError, match="let the source be the table's folder"):
        resolve_path(source, logs=logs, table="events")
    assert names(logs, "feed/impressions/*.parquet")


pytestmark = [installed, pytest.mark.xdist_group("postgresql")]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, empty, under the name that the environment gives it."""
    monkeypatch.setenv(VARIABLE, running.address())
    running.run("DROP SCHEMA IF EXISTS shop CASCADE", "CREATE SCHEMA shop")
    return running


def source(table: str) -> str:
    return f"postgresql://{NAME}/shop.{table}"


def in_postgres(workspace: Workspace) -> Workspace:
    """Let the surface of ten days of logs read its tables from the server."""
    file = workspace.surfaces / SURFACE / "surface.yaml"
    text = file.read_text(encoding="utf-8")
    for table in ("impressions", "events"):
        text = text.replace(f"{SURFACE}/{table}", source(table))
    file.write_text(text, encoding="utf-8")
    return replace(workspace)


def shop_with(home: Path, table: str) -> Shop:
    """Return the small shop whose impressions are a table of the server."""
    sources = {"impressions": source(table), "events": "shop/events/*.parquet"}
    return Shop(home, contracts(sources=sources)).put("events", events())


def refused_log(home: Path) -> str:
    with pytest.raises(DataError) as caught, shop_with(home, "logged").opened():
        pass
    return str(caught.value)


def copied(server: Server, select: str, to: Path) -> pa.Table:
    """Return the copy of a view of the server."""
    server.run(f"CREATE OR REPLACE VIEW shop.seen AS {select}")
    copy_table(PostgresTable(NAME, "shop", "seen"), to, table="events")
    return pq.read_table(to)


def refused(kind: type[EquipoiseError], server: Server, table: str, to: Path) -> str:
    """Return the message of a refusal, after a look for the password in all that a log would show."""
    with pytest.raises(kind) as error:
        copy_table(PostgresTable(NAME, "shop", table), to, table="events")
    assert server.password not in "".join(traceback.format_exception(error.value))
    assert "\n" not in str(error.value)
    return str(error.value)


# -- labels


def test_labels_of_tables_are_those_of_files(server: Server, tmp_path: Path) -> None:
    """Rows without a key, twins, future and late rows included; as of two instants, in one store."""
    logs = Logs.random(tmp_path, seed=1)
    logs.impressions += [dict(logs.impressions[0]), {**logs.impressions[1], "request_id": None}]
    logs.events += [{**logs.events[0], "event": None}]
    files = logs.write()
    from_files = [labels.run(files, as_of=at(day)) for day in (6, 8.5)]
    server.put("impressions", worlds.impression_table(logs.impressions))
    server.put("events", worlds.event_table(logs.events))
    tables = in_postgres(Workspace.open(SURFACE, surfaces=files.surfaces, home=tmp_path / "other"))
    from_tables = [labels.run(tables, as_of=at(day)) for day in (6, 8.5)]
    assert [b.snapshot for b in from_tables] == [b.snapshot for b in from_files]
    assert [b.counts for b in from_tables] == [b.counts for b in from_files]
    assert [b.quarantined for b in from_tables] == [b.quarantined for b in from_files]
    assert labels.run(tables, as_of=at(8.5)).partitions_written == 0
    kept = [delta.read(one.home / "quarantine" / SURFACE).num_rows for one in (files, tables)]
    assert kept[0] == kept[1] == sum(from_files[-1].quarantined.values())


def test_a_copy_goes_with_the_session(server: Server, tmp_path: Path) -> None:
    server.put("logged", impressions())
    with shop_with(tmp_path, "logged").opened(100) as log:
        assert log.fetch("SELECT count(*) FROM shown") == [(6,)]
        assert list(log.folder.glob("impressions/*.parquet"))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_table_that_does_not_fit_is_written_batch_by_batch(server: Server, tmp_path: Path) -> None:
    copied(server, "SELECT n, repeat('x', 100) AS text FROM generate_series(1, 400000) AS n", tmp_path / "f")
    footer = pq.read_metadata(tmp_path / "f")
    assert footer.num_rows == 400_000
    assert footer.num_row_groups > 1


# -- types


def test_types_become_those_of_a_log(server: Server, tmp_path: Path) -> None:
    server.run("CREATE TYPE shop.mood AS ENUM ('glad', 'sad')", "CREATE DOMAIN shop.price AS numeric(10, 2)")
    table = copied(
        server,
        """SELECT 1::smallint AS small, 2::integer AS middle, 3::bigint AS big, 1.5::real AS narrow,
                  2.5::double precision AS wide, 1.25::numeric(10, 2) AS exact, 'NaN'::numeric AS none,
                  9.99::shop.price AS price, true AS flag, 'a' AS word, 'b'::varchar(3) AS short,
                  'c'::char(4) AS padded, 'glad'::shop.mood AS mood, '{"a": 1}'::jsonb AS nested,
                  '{"b":2}'::json AS raw, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS id,
                  '2024-03-01 02:00:00.123456+02'::timestamptz AS at, '2024-03-01'::timestamp AS plain,
                  '2024-03-01'::date AS day, NULL::numeric AS nothing""",
        tmp_path / "f",
    )
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "small": "int16", "middle": "int32", "big": "int64", "narrow": "float", "wide": "double",
        "exact": "double", "none": "double", "price": "double", "flag": "bool", "word": "string",
        "short": "string", "padded": "string", "mood": "string", "nested": "string", "raw": "string",
        "id": "string", "at": "timestamp[us, tz=UTC]", "plain": "timestamp[us]", "day": "date32[day]",
        "nothing": "double",
    }  # fmt: skip
    (row,) = table.to_pylist()
    assert str(row.pop("none")) == "nan"
    assert row["at"].isoformat() == "2024-03-01T00:00:00.123456+00:00"
    told = {name: row[name] for name in ("exact", "price", "padded", "mood", "nested", "id", "nothing")}
    assert told == {
        "exact": 1.25, "price": 9.99, "padded": "c", "mood": "glad", "nested": '{"a": 1}',
        "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "nothing": None,
    }  # fmt: skip


def test_a_type_that_no_log_holds_is_refused_by_its_column(server: Server, tmp_path: Path) -> None:
    server.run("CREATE TABLE shop.odd (item_id int, tags text[], photo bytea, stay interval)")
    said = refused(DataError, server, "odd", tmp_path / "f")
    assert "'tags' (text[]), 'photo' (bytea), 'stay' (interval)" in said
    assert "Name a view without them" in said


@pytest.mark.parametrize("value", ["'infinity'::timestamptz", "'-infinity'::date", "'infinity'::timestamp"])
def test_an_infinite_time_is_refused_by_its_column(server: Server, tmp_path: Path, value: str) -> None:
    server.run(f"CREATE VIEW shop.seen AS SELECT {value} AS happened_at")
    assert "column 'happened_at' holds 'infinity'" in refused(DataError, server, "seen", tmp_path / "f")


def test_a_time_without_a_zone_is_refused_as_in_a_file(server: Server, tmp_path: Path) -> None:
    server.put("logged", impressions())
    server.run("ALTER TABLE shop.logged ALTER shown_at TYPE timestamp USING shown_at AT TIME ZONE 'UTC'")
    assert re.search("'shown_at' is of kind time without zone.* with the zone UTC", refused_log(tmp_path))


# -- names


def test_names_are_quoted(server: Server, tmp_path: Path) -> None:
    server.run("""CREATE TABLE shop."Odd""name;--" ("my ""price"" $1" int, "select" int)""")
    server.run("""INSERT INTO shop."Odd""name;--" VALUES (1, 2)""")
    copy_table(PostgresTable(NAME, "shop", 'Odd"name;--'), tmp_path / "f", table="events")
    assert pq.read_table(tmp_path / "f").to_pylist() == [{'my "price" $1': 1, "select": 2}]


def test_a_table_that_is_not_there_is_told_with_those_that_are(server: Server, tmp_path: Path) -> None:
    server.run("CREATE TABLE shop.events (n int)", "CREATE TABLE shop.impressions (n int)")
    said = refused(DataError, server, "event", tmp_path / "f")
    assert said.startswith("No events: Unknown table 'shop.event' in PostgreSQL 'warehouse'. Known: ")
    assert said.endswith("Did you mean 'shop.events'?")


def test_a_column_that_is_not_there_is_told_with_those_that_are(server: Server, tmp_path: Path) -> None:
    server.put("logged", impressions().drop_columns(["shown_at"]))
    assert "Missing column 'shown_at' in impressions. Known: item_id" in refused_log(tmp_path)


def test_an_empty_table_is_refused(server: Server, tmp_path: Path) -> None:
    server.put("logged", impressions().slice(0, 0))
    assert "impressions is empty" in refused_log(tmp_path)


# -- what fails


def test_a_server_that_the_environment_does_not_name_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EQUIPOISE_POSTGRESQL_OTHER", server.address())
    monkeypatch.delenv(VARIABLE)
    said = refused(ContractError, server, "events", tmp_path / "f")
    assert f"set {VARIABLE} to its connection string. Set are: EQUIPOISE_POSTGRESQL_OTHER" in said


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://owner:{secret}@127.0.0.1:1/postgres", "Connection refused"),
        ("postgresql://owner:x{secret}@127.0.0.1:{port}/postgres", "password authentication failed"),
        ("postgresql://owner:{secret}@127.0.0.1:{port}/nowhere", "does not exist"),
        ("postgresql://owner:a@{secret}@127.0.0.1:{port}/postgres", "could not translate host name"),
        ("host=127.0.0.1 {secret}", "see the server's log"),
        ("postgresql://owner:x@127.0.0.1:{port}/postgres?{secret}=1", "see the server's log"),
        ("postgresql://owner:x@127.0.0.1:{secret}/postgres", "see the server's log"),
    ],
)
def test_a_server_that_cannot_be_reached_is_one_line_without_a_secret(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, said: str
) -> None:
    monkeypatch.setenv(VARIABLE, address.format(secret=server.password, port=server.port))
    told = refused(StoreError, server, "events", tmp_path / "f")
    assert told == f"PostgreSQL 'warehouse' ({VARIABLE}) cannot be reached: {said}"


def test_the_command_line_says_it_in_one_message_and_ends_with_3(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = in_postgres(Logs.random(tmp_path, seed=1).write())
    monkeypatch.setenv(VARIABLE, server.address(port=1))
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["labels", "build", SURFACE, "--as-of", "2024-03-08T00:00:00Z", *where]) == 3
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "Connection refused" in printed.err
    assert server.password not in printed.out + printed.err


def test_what_a_login_may_not_read_is_the_operators(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.run(
        "CREATE TABLE shop.events (n int)",
        "DROP ROLE IF EXISTS guest",
        f"CREATE ROLE guest LOGIN PASSWORD '{server.password}'",
        "GRANT USAGE ON SCHEMA shop TO guest",
    )
    monkeypatch.setenv(VARIABLE, server.address(user="guest"))
    assert "permission denied for table events" in refused(StoreError, server, "events", tmp_path / "f")


def test_a_connection_that_is_lost_in_the_middle_is_the_operators(server: Server, tmp_path: Path) -> None:
    server.run(
        """CREATE VIEW shop.dying AS SELECT n, repeat('x', 1000) AS text,
           CASE WHEN n = 90000 THEN pg_terminate_backend(pg_backend_pid()) END AS gone
           FROM generate_series(1, 100000) AS n"""
    )
    assert "Reading from PostgreSQL 'warehouse' failed: " in refused(
        StoreError, server, "dying", tmp_path / "f"
    )


def test_without_the_driver_the_extra_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent: Any = None
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", absent)
    assert "pip install 'equipoise[postgres]'" in refused(ContractError, server, "events", tmp_path / "f")
