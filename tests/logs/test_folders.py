"""Folders whose names are columns: of every file the same, and each once."""

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.errors import DataError
from tests.logs.small_log import Shop, contracts, events, impressions


def put(shop: Shop, *folders: str) -> Shop:
    for folder in folders:
        shop.put(f"impressions/{folder}", impressions(kind=None))
    sources = {"impressions": "shop/impressions/**/*.parquet", "events": "shop/events/*.parquet"}
    shop.contracts = contracts(sources=sources)
    return shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "home").put("events", events())


def test_folders_that_every_file_lies_in_are_a_column(shop: Shop) -> None:
    with put(shop, "kind=x", "kind=a%20b").opened() as log:
        kinds = log.fetch("SELECT DISTINCT kind FROM impressions ORDER BY 1")
    assert kinds == [("a b",), ("x",)]


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (("kind=x", "sort=x"), "kind=..., .* in sort=..."),
        (("kind=x", "other"), "all files must lie in the same"),
        (("kind=x", "Kind=x"), "kind=..."),
        (("kind=x/kind=y",), "name the column 'kind' twice"),
        (("kind'=x",), "with a quote"),
        (("kind=x/day=1", "kind=x/hour=1"), "day=..., kind=..."),
    ],
)
def test_folders_that_are_no_columns_of_the_whole_table_are_refused(
    shop: Shop, folders: tuple[str, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said), put(shop, *folders).opened():
        pass


def test_a_folder_above_the_logs_is_not_read_in_their_stead(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "kind=prod").put("events", events())
    with pytest.raises(DataError, match="name the column 'kind' twice"), put(shop, "kind=x").opened():
        pass


def test_a_folder_above_the_logs_is_not_read_in_place_of_a_column_of_the_files(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "kind=prod").put("events", events()).put("impressions/sort=1", impressions())
    sources = {"impressions": "shop/impressions/**/*.parquet", "events": "shop/events/*.parquet"}
    shop.contracts = contracts(sources=sources)
    with (
        pytest.raises(DataError, match=r"holds a column 'kind' .* kind=prod.* above the logs"),
        shop.opened(),
    ):
        pass


def in_a_folder_of_kind_a_b(shop: Shop, *kinds: str | None) -> Shop:
    shop.put("impressions/kind=a%20b", impressions(kind=pa.array(kinds, pa.string())))
    sources = {"impressions": "shop/impressions/**/*.parquet", "events": "shop/events/*.parquet"}
    shop.contracts = contracts(sources=sources)
    return shop


@pytest.mark.parametrize("kinds", [["a b"] * 5 + ["x"], ["a b"] * 5 + [None], ["A B"] * 6])
def test_a_column_of_the_files_that_its_folder_contradicts_is_refused(
    shop: Shop, kinds: list[str | None]
) -> None:
    in_a_folder_of_kind_a_b(shop, *kinds)
    with pytest.raises(DataError, match="holds a column 'kind' and lies in a folder kind=a b"), shop.opened():
        pass


@pytest.mark.parametrize("kind", ["a b", None])
def test_a_column_of_the_files_may_repeat_its_folder_or_hold_nothing(shop: Shop, kind: str | None) -> None:
    with in_a_folder_of_kind_a_b(shop, *[kind] * 6).opened() as log:
        assert log.fetch("SELECT DISTINCT kind FROM impressions") == [("a b",)]


@pytest.mark.parametrize("folder", ["=x", "a=b=c", "plain"])
def test_a_folder_that_no_engine_takes_for_a_column_is_none(shop: Shop, folder: str) -> None:
    shop.put(f"impressions/{folder}", impressions())
    shop.contracts = contracts(
        sources={"impressions": "shop/impressions/**/*.parquet", "events": "shop/events/*.parquet"}
    )
    with shop.opened() as log:
        assert "a" not in log.log.impressions
