"""Where a source's files are found, and that it cannot leave the logs folder."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tasks.errors import ContractError, DataError
from tasks.logs.sources import resolve_path
from tasks.stores import delta
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
