"""An import appears whole, is found again by its recipe, and is never half reused."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.datasets.publishing import TABLES, begin, find_finished, make_recipe, publish


@dataclass(frozen=True)
class Result:
    rows: int
    reused: bool = False


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a published import of the recipe "a"."""
    write(tmp_path, "a", b"first")
    return tmp_path


def write(out: Path, recipe: str, content: bytes) -> None:
    work = begin(out)
    for table in TABLES:
        (work / table).mkdir()
        (work / table / "day.parquet").write_bytes(content)
    publish(work, out, recipe, Result(rows=len(content)))


def test_a_recipe_follows_from_settings_and_from_the_bytes_of_files(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(b"1")
    recipe = make_recipe("weeks 14", [file])
    assert make_recipe("weeks 14", [file]) == recipe
    assert make_recipe("weeks 15", [file]) != recipe
    file.write_bytes(b"2")
    assert make_recipe("weeks 14", [file]) != recipe


def test_where_nothing_was_published_nothing_is_found(tmp_path: Path) -> None:
    assert find_finished(tmp_path, "a") is None


def test_a_published_import_is_found_by_its_recipe_alone(out: Path) -> None:
    assert find_finished(out, "a") == {"rows": 5, "reused": True}
    assert find_finished(out, "b") is None


def test_an_import_that_lost_bytes_is_not_reused(out: Path) -> None:
    (out / "events" / "day.parquet").write_bytes(b"fir")
    assert find_finished(out, "a") is None


def test_another_import_takes_the_place_of_the_first_and_leaves_no_work(out: Path) -> None:
    write(out, "b", b"second")
    assert find_finished(out, "b") == {"rows": 6, "reused": True}
    assert (out / "events" / "day.parquet").read_bytes() == b"second"
    assert sorted(path.name for path in out.iterdir()) == ["events", "import.json", "impressions"]


def test_what_a_killed_import_left_is_cleared(tmp_path: Path) -> None:
    (begin(tmp_path) / "half").write_bytes(b"")
    assert list(begin(tmp_path).iterdir()) == []
