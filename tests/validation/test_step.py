"""A snapshot that fails its suites critically is kept from training; all else is evidence."""

from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import GateRefused
from tasks.labels import build as labels
from tasks.labels.store import LabelStore
from tasks.pipeline import retrain
from tasks.stores import delta
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.validation import step as validate
from tests.feeds import mini
from tests.feeds.mini import AS_OF, NAME
from tests.stores.plain_evidence import read_plain


def impossible_clicks(plain: dict[str, Any]) -> None:
    plain["base_rates"]["click_30m"] = [0.9, 1.0]


@pytest.fixture(scope="module")
def good(mini_surfaces: Path, mini_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return mini.with_log(mini_surfaces, mini_world, tmp_path_factory.mktemp("validate"))


@pytest.fixture(scope="module")
def bad(good: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same home under bounds that no click rate keeps."""
    return mini.changed(good, tmp_path_factory.mktemp("impossible"), surface=impossible_clicks)


@pytest.fixture(scope="module")
def refused(bad: Workspace) -> GateRefused:
    with pytest.raises(GateRefused) as error:
        retrain(bad, as_of=AS_OF)
    return error.value


@pytest.fixture(scope="module")
def snapshot(bad: Workspace, refused: GateRefused) -> str:
    return labels.run(bad, as_of=AS_OF).snapshot


def test_a_critical_failure_stops_the_retrain_and_nothing_is_registered(
    bad: Workspace, refused: GateRefused
) -> None:
    assert "failed their suite (critical): labels: click_30m: 0.1" in str(refused)
    assert mini.versions(bad) == {}


def test_its_report_names_the_rule_the_task_and_the_rate(bad: Workspace, refused: GateRefused) -> None:
    report = Path(str(refused).split("Report: ")[1])
    assert report.is_relative_to(bad.reports)
    html = report.read_text(encoding="utf-8")
    assert "base rates within bounds" in html
    assert "click_30m: 0.1" in html


def test_only_the_broken_rule_failed(bad: Workspace, snapshot: str) -> None:
    result = validate.run(bad, as_of=AS_OF, snapshot=snapshot)
    assert (result.success, result.severity) == (False, "critical")
    failed = [found for found in result.expectations if not found["success"]]
    assert [found["expectation"] for found in failed] == ["expect_base_rates_within_bounds"]
    assert {found["suite"] for found in result.expectations} == {
        "impressions",
        "candidates",
        "events",
        "labels",
    }


def test_the_snapshot_is_not_published_and_training_refuses_it(bad: Workspace, snapshot: str) -> None:
    assert not LabelStore(Store.open(bad.home), NAME).published(snapshot)
    with pytest.raises(GateRefused, match="is not published"):
        train.run(bad, task="click_30m", as_of=AS_OF, snapshot=snapshot)


def test_the_command_line_says_no_with_exit_code_1(
    bad: Workspace, refused: GateRefused, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(bad.surfaces), "--home", str(bad.home)]
    assert main(["validate", NAME, "--as-of", AS_OF.isoformat(), *where]) == 1
    assert capsys.readouterr().out.startswith("critical labels: ")
    assert main(["train", NAME, "click_30m", "--as-of", AS_OF.isoformat(), *where]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("GateRefused: The labels failed their suite")


# What follows publishes the snapshot: under bounds that hold, the same labels are good.


@pytest.fixture(scope="module")
def passed(good: Workspace, bad: Workspace, snapshot: str) -> validate.ValidateResult:
    assert not LabelStore(Store.open(bad.home), NAME).published(snapshot)
    return validate.run(good, as_of=AS_OF, snapshot=snapshot)


def test_good_labels_are_published_with_their_report(
    good: Workspace, snapshot: str, passed: validate.ValidateResult
) -> None:
    assert (passed.success, passed.severity) == (True, None)
    assert all(found["success"] for found in passed.expectations)
    assert LabelStore(Store.open(good.home), NAME).published(snapshot)


def test_what_was_validated_before_is_not_validated_or_published_again(
    good: Workspace, snapshot: str, passed: validate.ValidateResult
) -> None:
    assert validate.run(good, as_of=AS_OF, snapshot=snapshot) == passed
    assert len(delta.read(LabelStore(Store.open(good.home), NAME).snapshots)) == 1


def test_the_evidence_of_the_run_is_what_was_returned(
    good: Workspace, passed: validate.ValidateResult
) -> None:
    evidence = read_plain(good.home, passed.run_id)
    assert evidence["expectations"] == passed.expectations
    assert {found["why"] != "" for found in passed.expectations} == {True}
