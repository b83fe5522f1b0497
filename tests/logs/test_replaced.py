"""A log that is written to while it is read ends in one message, and never in labels of two logs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import DataError
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.logs import profile
from tests.feeds.days_of_logs import NAME, Logs, at
from tests.stores.local_path import local


def remove(file: Path) -> None:
    file.unlink()


def swap_for_its_half(file: Path) -> None:
    rows = pq.read_table(file)
    half = file.with_suffix(".part")
    pq.write_table(rows.slice(0, rows.num_rows // 2), half)
    half.replace(file)


def swap_for_the_same(file: Path) -> None:
    again = file.with_suffix(".part")
    again.write_bytes(file.read_bytes())
    again.replace(file)


def swap_for_other_columns(file: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), file)


def tear(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize("table", ["impressions", "events"])
@pytest.mark.parametrize("step", ["find_spread_requests", "cut_files", "make_summary_tables"])
@pytest.mark.parametrize("harm", [remove, swap_for_its_half, swap_for_the_same, swap_for_other_columns, tear])
def test_a_file_that_is_replaced_while_labels_are_built_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None], step: str, table: str
) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    file, whole = local(workspace.logs / NAME / table / "1.parquet"), getattr(profile, step)

    def harmed(*given: Any, **named: Any) -> Any:
        harm(file)
        return whole(*given, **named)

    monkeypatch.setattr(profile, step, harmed)
    with pytest.raises(DataError, match=r"1\.parquet was written again or removed while it was read"):
        labels.run(workspace, as_of=at(9))
    assert LabelStore(workspace.store, NAME).last() is None


def test_files_that_appear_meanwhile_are_the_next_build_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Logs.random(tmp_path, seed=1).write()
    folder, whole = local(workspace.logs / NAME / "events"), profile.make_summary_tables  # type: ignore[attr-defined]

    def harmed(*given: Any) -> None:
        (folder / "2.parquet").write_bytes((folder / "1.parquet").read_bytes())
        whole(*given)

    monkeypatch.setattr(profile, "make_summary_tables", harmed)
    assert labels.run(workspace, as_of=at(9)).rows
