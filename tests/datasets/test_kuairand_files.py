"""Files that are not those of the KuaiRand-Pure download are refused by name, with what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.datasets.kuairand import import_kuairand
from tasks.datasets.kuairand_files import COLUMNS, USERS, VIDEOS
from tasks.errors import DataError
from tests.datasets.kuairand_tables import (
    LOG_NAME,
    Download,
    write_csv,
)


def refused(source: Path, tmp_path: Path) -> str:
    with pytest.raises(DataError) as caught:
        import_kuairand(source=source, out=tmp_path / "logs")
    assert not list((tmp_path / "logs").glob("[!.]*"))
    return str(caught.value)


def test_a_command_without_a_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "kuairand", "--out", str(tmp_path)]) == 2
    assert "name the folder of its download (--source DIR)" in capsys.readouterr().err


def test_the_command_prints_every_count(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = download.write(tmp_path / "source")
    assert (
        main(["import", "kuairand", "--source", str(source), "--out", str(tmp_path / "logs"), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["impressions"] == 6


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere is not a folder" in refused(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize("name", [LOG_NAME, USERS, VIDEOS])
def test_a_missing_file_is_named_with_what_is_there_and_the_nearest(
    download: Download, tmp_path: Path, name: Any
) -> None:
    source = download.write(tmp_path)
    (source / "data" / name).rename(source / "data" / name.replace("_pure", "_prue"))
    said = refused(source, tmp_path)
    assert f"data holds no {name.replace('4_25_to_5_04', '*')}[.gz]" in said
    assert f"Did you mean '{name.replace('_pure', '_prue')}'?" in said


def test_a_file_both_plain_and_gzipped_is_refused(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    download.write(tmp_path, gzipped=True)
    assert "the same lines twice" in refused(source, tmp_path)


def test_an_unknown_column_is_named_with_the_nearest_known(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    log = source / "data" / LOG_NAME
    log.write_text(log.read_text().replace("is_click", "is_clik"))
    said = refused(source, tmp_path)
    assert f"Unknown column 'is_clik' in {log}" in said
    assert "Did you mean 'is_click'?" in said


def test_a_missing_column_is_named_with_what_is_there(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    columns = {name: kind for name, kind in COLUMNS[USERS].items() if name != "register_days"}
    users = [{name: row[name] for name in columns} for row in download.users]
    write_csv(source / "data" / USERS, columns, users)
    assert f"{USERS} lacks column register_days. It holds user_id," in refused(source, tmp_path)


def test_another_delimiter_is_named_with_the_line_that_shows_it(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    write_csv(source / "data" / VIDEOS, COLUMNS[VIDEOS], download.videos, delimiter=";")
    said = refused(source, tmp_path)
    assert f"{VIDEOS} has no comma in its first line: 'video_id;author_id;" in said


def test_an_empty_file_is_named_with_the_header_that_it_should_have(
    download: Download, tmp_path: Path
) -> None:
    source = download.write(tmp_path)
    (source / "data" / LOG_NAME).write_text("")
    assert f"{LOG_NAME} is empty. Its first line should be user_id,video_id" in refused(source, tmp_path)


def test_a_header_without_rows_is_refused(download: Download, tmp_path: Path) -> None:
    download.log.clear()
    assert "holds no row below its header" in refused(download.write(tmp_path), tmp_path)


def test_a_file_that_only_calls_itself_gzipped_is_named(download: Download, tmp_path: Path) -> None:
    source = download.write(tmp_path)
    (source / "data" / LOG_NAME).rename(source / "data" / f"{LOG_NAME}.gz")
    assert f"{LOG_NAME}.gz is not a gzipped CSV in UTF-8" in refused(source, tmp_path)


@pytest.mark.parametrize(("column", "value"), [("time_ms", "noon"), ("is_click", 7), ("user_id", "u1")])
def test_a_value_of_another_type_is_named_with_its_file(
    download: Download, tmp_path: Path, column: str, value: int | str
) -> None:
    download.log[3][column] = value
    said = refused(download.write(tmp_path), tmp_path)
    assert f"{LOG_NAME} cannot be read" in said
    assert str(value) in said


@pytest.mark.parametrize("column", ["user_id", "video_id", "time_ms"])
def test_a_line_of_nobody_of_nothing_or_of_no_time_is_refused_and_counted(
    download: Download, tmp_path: Path, column: str
) -> None:
    download.log[2][column] = ""
    said = refused(download.write(tmp_path), tmp_path)
    assert f"{LOG_NAME}: 1 of 6 rows have no user_id or video_id or time_ms" in said


def test_a_user_that_stands_twice_is_refused(download: Download, tmp_path: Path) -> None:
    download.users.append(download.users[0])
    assert "1 rows repeat a user_id" in refused(download.write(tmp_path), tmp_path)
