"""Commands on contracts and log tables."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tests.contracts.files import write_surface
from tests.feeds import small_feed


def test_a_valid_surface_checks_with_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_surface(tmp_path)
    assert main(["check", "feed", "--surfaces", str(root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["valid"]
    assert sorted(report["digests"]["feed"]) == ["slate", "surface", "tasks", "utility"]


def test_how_many_events_tell_a_bound_is_said_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def guard(files: dict[str, Any]) -> None:
        files["utility"]["guardrails"] += [{"metric": "click_rate", "relative_decrease_max": 0.1}]

    root = write_surface(tmp_path, guard)
    assert main(["check", "feed", "--surfaces", str(root)]) == 0
    assert (
        "click_rate, fall of 10.0%: 1,570 events in the slots are enough to detect it"
        in capsys.readouterr().out
    )


def test_a_log_that_explores_needs_six_times_the_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def explore(files: dict[str, Any]) -> None:
        files["utility"]["guardrails"] += [{"metric": "click_rate", "relative_decrease_max": 0.1}]
        files["slate"]["exploration"] = {"slots": 1, "among": 50}

    root = write_surface(tmp_path, explore)
    assert main(["check", "feed", "--surfaces", str(root)]) == 0
    assert "(power 80 %); 9,043 on a log of this surface's releases" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_feature_that_the_log_lacks_is_told_with_the_nearest_column(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_feed.write_contracts(tmp_path, surface=small_feed.SURFACE.replace("[price, age]", "[prise, age]"))
    small_feed.write_logs(tmp_path / "home/logs", days=(0, 1), requests_a_day=2)
    words = ["check", small_feed.NAME, "--surfaces", str(tmp_path), "--home", str(tmp_path / "home")]
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert "problem small_feed/surface.yaml: sources.impressions" in printed
    assert "Did you mean 'price'?" in printed
    assert "no logged order to be compared with" in printed
    assert main([*words, "--json"]) == 1
    log = json.loads(capsys.readouterr().out)["log"]
    assert log[0]["rows"] == 10


def test_every_problem_is_printed_and_the_exit_code_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_surface(tmp_path, lambda files: files["utility"]["weights"].update(click=-1.0, buyy=2.0))
    assert main(["check", "--surfaces", str(root), "--json"]) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [p["field"] for p in problems] == ["weights.click", "weights.buyy"]
    assert set(problems[0]) == {"surface", "file", "field", "found", "hint"}


def test_a_simulated_feed_is_written_where_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "logs"
    words = ["--days", "2", "--requests-per-day", "3", "--seed", "1", "--out", str(out)]
    assert main(["world", "generate", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] == str(out)
    assert len(list((out / "impressions").glob("*.parquet"))) == 2
    assert (out / "truth.parquet").is_file()


def test_a_data_set_that_comes_in_no_package_needs_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "kuairand", "--out", str(tmp_path)]) == 2
    assert "name the folder of its download (--source DIR)" in capsys.readouterr().err
