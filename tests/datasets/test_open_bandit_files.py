"""Files that are not those of the Open Bandit Dataset are refused by name, with what is wrong and where."""

from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.datasets.open_bandit import import_open_bandit
from tasks.errors import DataError
from tests.datasets.open_bandit_tables import HEADER, Bandit, small


def refused(source: Path, tmp_path: Path) -> str:
    with pytest.raises(DataError) as caught:
        import_open_bandit(source=source, out=tmp_path / "logs")
    assert not list((tmp_path / "logs").glob("[!.]*"))
    return str(caught.value)


def test_a_command_without_a_source_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "open-bandit", "--out", str(tmp_path)]) == 2
    assert "open-bandit comes in no package" in capsys.readouterr().err


def test_a_folder_without_logs_is_named(tmp_path: Path) -> None:
    assert "holds no log of Open Bandit" in refused(tmp_path, tmp_path)


def test_a_log_without_its_items_is_half_a_log(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    (source / "bts" / "all" / "item_context.csv").unlink()
    assert "bts/all lacks item_context.csv" in refused(source, tmp_path)


def test_a_log_both_plain_and_gzipped_is_refused(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    small().write(source, packed=False)
    assert "holds all.csv twice" in refused(source, tmp_path)


def test_one_policy_of_one_campaign_is_enough(tmp_path: Path) -> None:
    made = small()
    del made.rows["bts"]
    assert import_open_bandit(source=made.write(tmp_path / "source"), out=tmp_path / "logs").logs == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"propensity_score": 0}, "propensity_score is not above 0 and at most 1 in 1 rows, numbered 3"),
        ({"propensity_score": 1.5}, "propensity_score is not above 0 and at most 1"),
        ({"propensity_score": "nan"}, "propensity_score is not above 0 and at most 1"),
        ({"propensity_score": ""}, "a column but the affinity is empty in 1 rows"),
        ({"position": 4}, "position is not 1, 2 or 3"),
        ({"click": 2}, "click is neither 0 nor 1"),
        ({"item": 3}, "item_id is not in item_context.csv"),
        ({"": 0}, "a row's number, stands twice in 2 rows, numbered 0, 0"),
        ({"timestamp": "yesterday"}, "all.csv.gz cannot be read"),
    ],
)
def test_a_row_that_breaks_a_rule_is_told_with_its_number(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made = small()
    made.shows("random", columns.pop("item", 0), **columns)
    assert message in refused(made.write(tmp_path / "source"), tmp_path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([*HEADER[:-1], "user-item_afinity_2"], "Unknown column 'user-item_afinity_2'"),
        (HEADER[:-1], "lacks column user-item_affinity_2"),
        ([HEADER[0], HEADER[2], HEADER[1], *HEADER[3:]], "has its columns in another order"),
    ],
)
def test_another_header_is_refused(header: list[str], message: str, tmp_path: Path) -> None:
    made = small()
    made.header = header
    assert message in refused(made.write(tmp_path / "source"), tmp_path)


def test_an_empty_file_and_one_without_rows_are_told_apart(tmp_path: Path) -> None:
    source = Bandit({"random": []}).write(tmp_path / "source")
    assert "holds no row below its header" in refused(source, tmp_path)
    (source / "random" / "all" / "item_context.csv").write_text("")
    assert "item_context.csv is empty" in refused(source, tmp_path)


def test_items_are_numbered_from_0_without_a_gap(tmp_path: Path) -> None:
    source = small().write(tmp_path / "source")
    items = source / "random" / "all" / "item_context.csv"
    items.write_text(items.read_text().replace("\n2,2,", "\n2,1,"))
    assert "its 3 rows should be items 0 to 2, one row each" in refused(source, tmp_path)
