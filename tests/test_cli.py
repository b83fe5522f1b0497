import json
from pathlib import Path

import pytest

from tasks.cli import main
from tests.contracts.files import write_surface


def test_a_valid_surface_checks_with_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_surface(tmp_path)
    assert main(["check", "feed", "--surfaces", str(root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["valid"]
    assert sorted(report["digests"]["feed"]) == ["slate", "surface", "tasks", "utility"]


def test_every_problem_is_printed_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_surface(tmp_path, lambda files: files["utility"]["weights"].update(click=-1.0, buyy=2.0))
    assert main(["check", "--surfaces", str(root), "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [p["field"] for p in problems] == ["weights.click", "weights.buyy"]
    assert set(problems[0]) == {"surface", "file", "field", "found", "hint"}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["chek"],
        ["check", "fed"],
        ["retrain", "feed"],
        ["retrain", "feed", "--as-of", "yesterday"],
        ["retrain", "feed", "--as-of", "2026-01-01T00:00:00"],
        ["labels", "sql", "feed", "--dialect", "mysql"],
        ["labels", "build", "feed", "--as-of", "2026-01-01T00:00:00Z", "--from", "monday"],
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_surface(tmp_path)
    where = ["--surfaces", str(tmp_path)] if words and words[0] in {"check", "retrain"} else []
    assert main([*words, *where]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ContractError: ")
    assert "Traceback" not in printed.err


def test_help_carries_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["labels", "build", "--help"])
    assert ended.value.code == 0
    assert "example: equipoise labels build home_feed --as-of" in capsys.readouterr().out


@pytest.mark.parametrize("dialect", ["duckdb", "spark", "postgres", "bigquery", "snowflake"])
def test_the_sql_of_a_contract_is_printed_in_each_dialect(
    dialect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_surface(tmp_path)
    assert main(["labels", "sql", "feed", "--dialect", dialect, "--surfaces", str(root)]) == 0
    assert "return__status" in capsys.readouterr().out
