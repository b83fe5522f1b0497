"""Files of the label store that differ from their digests are refused, and a build as of the same instant replaces them."""

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import StoreError
from tasks.labels import build as labels
from tasks.labels.compare import diff
from tasks.labels.snapshot import Snapshot
from tasks.labels.store import LabelStore
from tasks.stores.delta import DataFile
from tasks.stores.workspace import Workspace
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.stores.local_path import local

OTHER_ROWS = rf"holds other rows than were built on 1 day\(s\).*`equipoise labels build {NAME} --as-of "


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Logs.random(tmp_path, seed=1).write()


def published(workspace: Workspace, as_of: float) -> str:
    built = labels.run(workspace, as_of=at(as_of)).snapshot
    LabelStore(workspace.store, NAME).publish(built, report="r", severity="none")
    return built


def snapshot(workspace: Workspace, name: str) -> Snapshot:
    return LabelStore(workspace.store, NAME).snapshot(name)


def rows(workspace: Workspace, name: str) -> pa.Table:
    found = snapshot(workspace, name)
    names = [name for name in found.schema().names if name not in {"contract_version", "contract_digest"}]
    return found.read(names, where="click__status = 'observed' OR shown_at > '2024-01-01'")


def file_of(workspace: Workspace, name: str, day: date) -> DataFile:
    return snapshot(workspace, name).files(day, day)[0]


def rebuild_without(workspace: Workspace, name: str, day: date) -> None:
    """Do what the message asks for."""
    local(file_of(workspace, name, day).path).unlink()
    assert labels.run(workspace, as_of=snapshot(workspace, name).as_of).snapshot == name


def turn_clicks_over(file: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT * REPLACE (1 - click AS click) FROM '{file}'"  # noqa: S608 - a file of the test
        )
        connection.execute(f"COPY t TO '{file}' (FORMAT parquet)")


def test_labels_turned_over_in_their_file_are_refused_and_built_again(workspace: Workspace) -> None:
    name = published(workspace, 40)
    before = rows(workspace, name)
    turn_clicks_over(local(file_of(workspace, name, date(2024, 3, 5)).path))
    with pytest.raises(StoreError, match=OTHER_ROWS):
        rows(workspace, name)
    rebuild_without(workspace, name, date(2024, 3, 5))
    assert rows(workspace, name).equals(before)


def test_of_single_flipped_bits_none_is_read_as_other_labels(workspace: Workspace) -> None:
    name = published(workspace, 40)
    before = rows(workspace, name)
    file = local(file_of(workspace, name, date(2024, 3, 5)).path)
    whole, refused, dice = file.read_bytes(), 0, np.random.default_rng(14)
    for bit in dice.integers(0, 8 * len(whole), 40).tolist():
        spoiled = bytearray(whole)
        spoiled[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(spoiled)
        try:
            assert rows(workspace, name).equals(before), bit
        except StoreError:
            refused += 1
    assert refused > 8


def test_labels_turned_over_in_their_file_are_not_compared(workspace: Workspace) -> None:
    older, newer = published(workspace, 6), published(workspace, 40)
    day = date(2024, 3, 5)
    assert file_of(workspace, older, day).path != file_of(workspace, newer, day).path
    turn_clicks_over(local(file_of(workspace, newer, day).path))
    with pytest.raises(StoreError, match=OTHER_ROWS):
        diff(workspace, before=older, after=newer)
    rebuild_without(workspace, newer, day)
    assert diff(workspace, before=older, after=newer).days_compared > 0


@pytest.mark.parametrize("newest", [40.0, 45.0])
def test_a_lost_file_of_a_published_snapshot_is_built_again_under_its_name(
    workspace: Workspace, newest: float
) -> None:
    name = published(workspace, 6)
    before = rows(workspace, name)
    labels.run(workspace, as_of=at(newest))
    local(file_of(workspace, name, date(2024, 3, 2)).path).unlink()
    with pytest.raises(
        StoreError, match=rf"lost files.*Build it again: `equipoise labels build {NAME} --as-of "
    ):
        rows(workspace, name)
    assert labels.run(workspace, as_of=at(6)).snapshot == name
    assert rows(workspace, name).equals(before)


def test_a_retrains_own_build_brings_a_lost_file_back(workspace: Workspace) -> None:
    name = published(workspace, 40)
    before = rows(workspace, name)
    local(file_of(workspace, name, date(2024, 3, 2)).path).unlink()
    assert labels.run(workspace, as_of=at(40)).snapshot == name
    assert rows(workspace, name).equals(before)


def test_a_build_from_a_log_that_lost_rows_is_another_snapshot(tmp_path: Path) -> None:
    logs = Logs.random(tmp_path, seed=1)
    name = published(logs.write(), 40)
    logs.impressions = [row for row in logs.impressions if row["shown_at"] >= at(3)]
    workspace = logs.write()
    local(file_of(workspace, name, date(2024, 3, 2)).path).unlink()
    assert labels.run(workspace, as_of=at(40)).snapshot != name


def test_a_record_of_other_digests_is_refused(workspace: Workspace) -> None:
    name = published(workspace, 40)
    (commit,) = (workspace.home / "labels" / NAME / "_delta_log").glob("*0.json")
    text = commit.read_text(encoding="utf-8")
    file = local(file_of(workspace, name, date(2024, 3, 5)).path)
    turn_clicks_over(file)
    recorded = text.index('\\"2024-03-05\\": [')
    digit = text.index('\\"', recorded + 17) + 3
    commit.write_text(text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :], encoding="utf-8")
    with pytest.raises(StoreError, match="is not that of label snapshot"):
        rows(workspace, name)
