"""The plan of a retrain as text, and as a document."""

import json
from pathlib import Path

import pytest

from tasks.cli import main
from tests.feeds import small_feed


def test_days_decider_and_what_is_missing_are_printed_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_feed.write_contracts(tmp_path)
    small_feed.write_logs(tmp_path / "home/logs", days=(0, 27), requests_a_day=20)
    words = ["plan", small_feed.NAME, "--surfaces", str(tmp_path), "--home", str(tmp_path / "home")]
    assert main([*words, "--as-of", "2026-01-28T00:00:00Z"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "2,700 impressions on 27 days, 2026-01-01 to 2026-01-27" in printed
    assert "shared test days: 2026-01-17 to 01-23, decided by back_2d" in printed
    assert "click_1d 2026-01-01 to 01-07 2026-01-09 to 01-15" in printed
    assert "missing, at the earliest as of 2026-02-03: Task 'back_2d' cannot be trained" in printed
    assert main([*words, "--as-of", "2026-01-28T00:00:00Z", "--json"]) == 1
    click = json.loads(capsys.readouterr().out)["tasks"]["click_1d"]["positives"]
    assert " / ".join(str(click[part]) for part in ("train", "calibrate", "test")) in printed
    assert main([*words, "--as-of", "2026-02-02T00:00:00Z", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["tasks"]["click_1d"]["positives"]["train"] > 20
    assert document["tasks"]["back_2d"]["positives"] is None
    assert document["tasks"]["back_2d"]["days_needed"] == document["days_needed"] == 33
    assert not (tmp_path / "home/mlflow").exists()
    assert not (tmp_path / "home/labels").exists()
