"""Commands that make a release, on labels that are there and on those that they build themselves."""

import json
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.stores.workspace import Workspace, format_instant
from tests.cli.conftest import Document
from tests.feeds import small_feed
from tests.feeds.small_feed import AS_OF, NAME, write_contracts, write_logs

WHEN = ("--as-of", format_instant(AS_OF))


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    return small_feed.small_feed(tmp_path_factory.mktemp("feed"))


def test_a_calibrator_is_fitted_to_the_model_that_is_named_or_to_one_of_its_own(
    feed: tuple[Workspace, str], document: Document
) -> None:
    workspace, snapshot = feed
    labels = (*WHEN, "--snapshot", snapshot)
    fitted = document(workspace, "calibrate", NAME, "click_1d", *labels)
    model = document(workspace, "train", NAME, "click_1d", *labels)
    assert model["reused"]
    again = document(
        workspace, "calibrate", NAME, "click_1d", *labels, "--model-version", str(model["version"])
    )
    assert again["reused"]
    assert again["version"] == fitted["version"]


def test_without_a_snapshot_labels_are_built_and_validated(
    feed: tuple[Workspace, str], document: Document
) -> None:
    workspace, snapshot = feed
    assert document(workspace, "validate", NAME, *WHEN)["success"]
    built = document(workspace, "train", NAME, "buy_2d", *WHEN)
    named = document(workspace, "train", NAME, "buy_2d", *WHEN, "--snapshot", snapshot)
    assert (named["version"], named["reused"]) == (built["version"], True)


def test_labels_that_fail_stop_what_would_train_on_them(
    tmp_path: Path, document: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, _ = small_feed.small_feed(tmp_path)
    surface = workspace.surfaces / NAME / "surface.yaml"
    surface.write_text(
        surface.read_text(encoding="utf-8") + "base_rates: {click_1d: [0.99, 1.0]}\n", encoding="utf-8"
    )
    assert not document(workspace, "validate", NAME, *WHEN, code=1)["success"]
    where = ("--surfaces", str(workspace.surfaces), "--home", str(workspace.home))
    assert main(["train", NAME, "click_1d", *WHEN, *where]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("GateRefused: The labels failed their suite")


def test_tasks_of_a_retrain_are_separated_by_commas(
    feed: tuple[Workspace, str], capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, _ = feed
    where = ("--surfaces", str(workspace.surfaces), "--home", str(workspace.home))
    assert main(["retrain", NAME, *WHEN, "--tasks", "click_1d,no_such_task", *where]) == 2
    assert "no_such_task" in capsys.readouterr().err.splitlines()[-1]


def test_days_decider_and_what_is_missing_are_printed_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_contracts(tmp_path)
    write_logs(tmp_path / "home/logs", days=(0, 27), requests_a_day=20)
    words = ["plan", NAME, "--surfaces", str(tmp_path), "--home", str(tmp_path / "home")]
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
