"""Where a source's files are found, and that it cannot leave the logs folder."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
