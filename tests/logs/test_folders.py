"""Folders whose names are columns: of every file the same, and each once."""

from pathlib import Path

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


@pytest.mark.parametrize("folder", ["=x", "a=b=c", "plain"])
def test_a_folder_that_no_engine_takes_for_a_column_is_none(shop: Shop, folder: str) -> None:
    shop.put(f"impressions/{folder}", impressions())
    shop.contracts = contracts(
        sources={"impressions": "shop/impressions/**/*.parquet", "events": "shop/events/*.parquet"}
    )
    with shop.opened() as log:
        assert "a" not in log.log.impressions
