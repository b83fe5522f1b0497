"""The off-policy step reads its two tables from Parquet, and says which of them it cannot."""

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.errors import DataError
from tasks.ope import off_policy
from tests.ope import bandit


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    log, target = tmp_path / "log.parquet", tmp_path / "target.parquet"
    bandit.log().assign(unused="x").to_parquet(log)
    bandit.target().to_parquet(target)
    return log, target


def test_a_folder_of_files_is_one_table(files: tuple[Path, Path], tmp_path: Path) -> None:
    log, target = files
    parts = tmp_path / "parts" / "day=1"
    parts.mkdir(parents=True)
    frame = pd.read_parquet(log)
    frame.iloc[:150].to_parquet(parts / "a.parquet")
    frame.iloc[150:].to_parquet(parts / "b.pq")
    whole = off_policy.run(log=log, target=target, reward="click")
    assert off_policy.run(log=tmp_path / "parts", target=target, reward="click").to_json() == whole.to_json()


def test_a_column_that_pandas_wrote_as_its_index_is_a_column(files: tuple[Path, Path]) -> None:
    log, target = files
    whole = off_policy.run(log=log, target=target, reward="click")
    pd.read_parquet(log).set_index(["request_id", "item_id"]).to_parquet(log)
    pd.read_parquet(target).set_index("item_id").to_parquet(target)
    assert off_policy.run(log=log, target=target, reward="click").to_json() == whole.to_json()


def test_ids_that_are_written_as_categories_are_ids(files: tuple[Path, Path]) -> None:
    log, target = files
    whole = off_policy.run(log=log, target=target, reward="click")
    frame = pd.read_parquet(log)
    frame.astype({"item_id": "category", "user_id": "category"}).to_parquet(log)
    assert off_policy.run(log=log, target=target, reward="click").to_json() == whole.to_json()


def test_what_cannot_be_read_is_told_with_its_table(files: tuple[Path, Path], tmp_path: Path) -> None:
    log, target = files
    broken, empty = tmp_path / "broken.parquet", tmp_path / "empty"
    broken.write_bytes(b"PAR1 and no more")
    empty.mkdir()
    for path, message in ((broken, "not readable Parquet"), (tmp_path / "none.parquet", "not readable Parquet"), (empty, "holds no Parquet file")):  # fmt: skip
        with pytest.raises(DataError, match=f"The target: .*{message}"):
            off_policy.run(log=log, target=path, reward="click")
        with pytest.raises(DataError, match=f"The log: .*{message}"):
            off_policy.run(log=path, target=target, reward="click")


def test_a_missing_column_is_told_with_the_nearest_that_the_file_has(files: tuple[Path, Path]) -> None:
    log, target = files
    with pytest.raises(DataError, match=r"Missing column 'clicks' in the log.*Did you mean 'click'"):
        off_policy.run(log=log, target=target, reward="clicks")


def test_any_byte_may_be_another(files: tuple[Path, Path], tmp_path: Path) -> None:
    """A report, or one message: never another error, never the end of the process."""
    log, target = files
    content, rng, reports = log.read_bytes(), np.random.default_rng(0), 0
    for place in rng.integers(len(content), size=40):
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "spoilt.parquet").write_bytes(spoilt)
        with contextlib.suppress(DataError):
            off_policy.run(log=tmp_path / "spoilt.parquet", target=target, reward="click")
            reports += 1
    assert 0 < reports < 40
