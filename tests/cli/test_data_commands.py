"""Commands on contracts and log tables."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cli import main
from tasks.contracts import load_surface
from tasks.stores.workspace import Workspace
from tests.cli.conftest import Document
from tests.contracts.files import VALID, setting, write_surface
from tests.contracts.test_revisions import git
from tests.feeds import mini, small_feed
from tests.feeds.mini import Retrained


def test_a_valid_surface_checks_with_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_surface(tmp_path)
    assert main(["check", "feed", "--surfaces", str(root), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["valid"]
    assert sorted(report["digests"]["feed"]) == ["slate", "surface", "tasks", "utility"]


CLICKS = setting(
    "utility.guardrails",
    [*VALID["utility"]["guardrails"], {"metric": "click_rate", "relative_decrease_max": 0.1}],
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([CLICKS], "click_rate: 1,570 events on the test days detect a fall of 10.0% in 80 % of cases"),
        (
            [CLICKS, setting("slate.exploration", {"slots": 1, "among": 50})],
            "in 80 % of cases; 9,043 on a log of this surface's releases",
        ),
        ([setting("tasks.tasks.visit.train", False)], "measured, never trained: visit"),
    ],
    ids=["a bound", "a log that explores", "a task that is never trained"],
)
def test_a_check_prints_how_many_events_a_bound_needs_and_what_is_only_measured(
    changes: list[Any], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_surface(tmp_path, lambda files: [change(files) for change in changes])
    assert main(["check", "feed", "--surfaces", str(root)]) == 0
    assert line in " ".join(capsys.readouterr().out.split())


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


AS_OF = "2026-02-16T00:00:00Z"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    small_feed.write_logs(tmp_path / "home/logs")
    return tmp_path / "home/logs" / small_feed.NAME


def words(folder: Path, verb: str, *more: str, home: str = "home") -> list[str]:
    return [verb, "my_feed", *more, "--surfaces", str(folder / "surfaces"), "--home", str(folder / home)]


def drafting(logs: Path, *more: str) -> list[str]:
    return ["--impressions", str(logs / "impressions"), "--events", str(logs / "events/*.parquet"), *more]


def widen_returns(surfaces: Path) -> None:
    """Give the guessed task of returns a window that they lie in: they come a whole day after."""
    file = surfaces / "my_feed/tasks.yaml"
    guessed, read = "{event: back, within: P1D", "{event: back, within: P2D"
    text = file.read_text(encoding="utf-8")
    assert guessed in text
    file.write_text(text.replace(guessed, read), encoding="utf-8")


def test_the_four_files_are_commented_and_check_passes_on_them(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path, "init", *drafting(logs))) == 0
    assert f"equipoise plan my_feed --as-of {AS_OF}" in capsys.readouterr().out
    folder = tmp_path / "surfaces/my_feed"
    for kind in ("surface", "tasks", "utility", "slate"):
        assert "# " in (folder / f"{kind}.yaml").read_text(encoding="utf-8")
    assert main(words(tmp_path, "check", "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["problems"], document["warnings"]) == ([], [])
    assert [table["missing"] for table in document["log"]] == [None, None]


def test_a_draft_starts_from_a_surface_of_the_folder(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(mini.SURFACES / "minimal", tmp_path / "surfaces/minimal")
    assert main(words(tmp_path, "init", *drafting(logs, "--from", "minimal"))) == 0
    own = load_surface(tmp_path / "surfaces", "my_feed")
    assert list(own.utility.weights) == ["click_30m", "buy_7d"]
    assert own.surface.features.numeric == ("price", "age")
    capsys.readouterr()
    shutil.rmtree(tmp_path / "surfaces/my_feed")
    assert main(words(tmp_path, "init", *drafting(logs, "--from", "minimum"))) == 2
    assert "Did you mean 'minimal'?" in capsys.readouterr().err


def test_a_guessed_window_in_which_no_outcome_lies_is_told_by_the_plan_and_it_passes_with_another(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path, "init", *drafting(logs))) == 0
    capsys.readouterr()
    assert main(words(tmp_path, "plan", "--as-of", AS_OF, "--json")) == 1
    missing = {name: task["missing"] for name, task in json.loads(capsys.readouterr().out)["tasks"].items()}
    assert (missing["click_30m"], missing["buy_7d"]) == (None, None)
    assert "its train slice has 0 positives in" in missing["back_1d"]
    widen_returns(tmp_path / "surfaces")
    assert main(words(tmp_path, "plan", "--as-of", AS_OF)) == 0


def test_logs_elsewhere_are_found_by_the_variable_that_is_printed(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(words(tmp_path, "init", *drafting(logs, "--json"), home="other")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["next"][0] == f"export EQUIPOISE_LOGS={logs}"
    monkeypatch.setenv("EQUIPOISE_LOGS", str(logs))
    widen_returns(tmp_path / "surfaces")
    assert main(words(tmp_path, "plan", "--as-of", AS_OF, home="other")) == 0


@pytest.mark.parametrize("link", [False, True])
def test_a_surface_that_is_there_is_not_touched_also_as_a_link_to_nothing(
    tmp_path: Path, logs: Path, link: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "surfaces/my_feed"
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "nowhere") if link else folder.mkdir()
    assert main(words(tmp_path, "init", *drafting(logs))) == 2
    assert "already exists" in capsys.readouterr().err
    assert link or list(folder.iterdir()) == []


def test_times_without_a_zone_are_told_to_be_converted_and_nothing_is_written(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = logs / "impressions/a.parquet"
    rows = pq.read_table(file)
    naive = rows["shown_at"].cast(pa.timestamp("us"))
    pq.write_table(rows.set_column(rows.column_names.index("shown_at"), "shown_at", naive), file)
    assert main(words(tmp_path, "init", *drafting(logs))) == 2
    assert "convert it first, from the zone that its writer meant, to UTC" in capsys.readouterr().err
    assert not (tmp_path / "surfaces/my_feed").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--column", "request_id"], "Write --column NAME=COLUMN"),
        (["--column", "reqest_id=x"], "Did you mean 'request_id'?"),
    ],
)
def test_a_column_that_is_none_of_ours_is_told(
    tmp_path: Path, logs: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main(words(tmp_path, "init", *drafting(logs, *more))) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["my-feed", "7", "a/b", "..", "a" * 64])
def test_a_name_that_is_none_is_refused(
    tmp_path: Path, logs: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", name, *drafting(logs), "--surfaces", str(tmp_path), "--home", str(tmp_path)]) == 2
    assert "is not a name" in capsys.readouterr().err


def test_a_draft_that_is_cut_off_leaves_no_surface_behind(
    tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tasks.cli.data_commands._require_valid", cut_off)
        assert main(words(tmp_path, "init", *drafting(logs))) != 0
    assert not (tmp_path / "surfaces/my_feed").exists()
    assert main(words(tmp_path, "init", *drafting(logs))) == 0


def test_a_changed_policy_is_compared_on_the_candidates_of_a_release(
    second_retrain: Retrained, document: Document, tmp_path: Path
) -> None:
    surfaces = Path(shutil.copytree(second_retrain.workspace.surfaces, tmp_path / "surfaces"))
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "before"]):
        git(tmp_path, *words)
    workspace = Workspace.open(mini.NAME, surfaces=surfaces, home=second_retrain.workspace.home)
    file = surfaces / mini.NAME / "utility.yaml"

    def change(policy: dict[str, Any]) -> None:
        policy["version"] += 1
        policy["weights"]["click_30m"] = 40.0

    mini.rewrite(file, change)
    found = document(workspace, "check", mini.NAME, "--against", "HEAD")
    assert [(one["file"], one["keys"], one["raised"]) for one in found["changes"]] == [
        ("utility.yaml", ["weights"], True)
    ]
    (diff,) = found["policy_diffs"]
    assert diff["after"]["name"] == str(file)
    assert diff["replaced"]["value"] > 0
