"""The whole sequence: a first release, the same again, one beside a champion, one that was killed thrice."""

import signal
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.errors import ContractError, DataError
from tasks.labels import build as labels
from tasks.labels.snapshot import Snapshot
from tasks.logs import session
from tasks.pipeline import retrain
from tasks.release import view as release_view
from tasks.stores.runs import PARENT
from tasks.stores.workspace import Workspace
from tasks.training.rows import TaskRows
from tasks.training.slices import DaySlice
from tests.feeds import mini
from tests.feeds.mini import AS_OF, LATER, NAME, TASKS, Killed, Retrained
from tests.stores.mlflow_home import new_home
from tests.verdicts import subject_of


def test_a_first_release_is_judged_and_becomes_the_challenger(first_retrain: Retrained) -> None:
    result = first_retrain.result
    assert (result.release, result.verdict, result.reasons) == (1, "promote", [])
    assert first_retrain.aliases == {"challenger": 1}
    assert {gate["gate"] for gate in result.gates} == {
        *("lineage", "policy", "data", "model", "inputs", "proxies", "calibration", "decision"),
        *("shadow", "parity", "freshness"),
    }


def test_it_registers_one_version_of_every_part_and_policy_and_a_purchase_that_judges_returns(
    first_retrain: Retrained,
) -> None:
    names = {f"{NAME}.{kind}.{task}" for kind in ("task", "calibrator") for task in TASKS}
    assert set(first_retrain.versions) == names | {
        *(f"{NAME}.{kind}" for kind in ("release", "utility_policy", "slate_policy", "examination"))
    }
    factor_models = {f"{NAME}.{kind}.purchase_2d": 2 for kind in ("task", "calibrator")}
    counts = {name: len(found) for name, found in first_retrain.versions.items()}
    assert counts == dict.fromkeys(counts, 1) | factor_models


def test_its_every_byte_and_pin_is_as_registered(first_retrain: Retrained) -> None:
    assert release_view.verify(first_retrain.workspace, 1).problems == []


def test_its_runs_lie_below_one_parent_and_are_named_by_surface_step_and_version(
    first_retrain: Retrained,
) -> None:
    workspace = first_retrain.workspace
    client = workspace.store.client
    gate = client.get_run(mini.step_runs(workspace, "gate", release=1)[0])
    parent = client.get_run(gate.data.tags[PARENT])
    runs = client.search_runs([workspace.store.runs.experiment_id(NAME)])
    below = [run for run in runs if run.data.tags.get(PARENT) == parent.info.run_id]
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", f"{NAME} retrain")
    assert {"validate", "train", "calibrate", "release", "simulate", "shadow", "gate"} <= {
        run.data.tags["step"] for run in below
    }
    assert {
        *(f"{NAME} {step} release 1" for step in ("simulate", "shadow", "gate")),
        *(f"{NAME} release version 1", f"{NAME} train click_30m version 1"),
    } <= {run.info.run_name for run in below}


def test_the_run_of_its_gate_counts_the_verdicts_and_describes_the_decision(first_retrain: Retrained) -> None:
    workspace = first_retrain.workspace
    run = workspace.store.client.get_run(mini.step_runs(workspace, "gate", release=1)[0])
    counted = [int(value) for name, value in run.data.metrics.items() if name.startswith("verdicts_")]
    assert sum(counted) == len(first_retrain.result.gates) + len(first_retrain.result.timings)
    assert run.data.metrics["reasons_to_hold"] == 0
    assert run.data.tags["mlflow.note.content"].startswith("**Promote.** No verdict holds it.")


def test_the_same_inputs_again_register_nothing(first_retrain: Retrained, repeated: Retrained) -> None:
    assert repeated == first_retrain


def test_a_second_release_takes_from_the_champion_what_was_not_trained(second_retrain: Retrained) -> None:
    pins = second_retrain.workspace.releases.manifest(2).pins
    trained = {f"{NAME}.{kind}.click_30m": 2 for kind in ("task", "calibrator")}
    lent = {f"{NAME}.{kind}.{task}": 1 for kind in ("task", "calibrator") for task in TASKS[1:]}
    others = {f"{NAME}.utility_policy": 2, f"{NAME}.slate_policy": 1, f"{NAME}.examination": 1}
    assert pins == trained | lent | others


def test_what_is_lent_is_as_old_as_it_is(second_retrain: Retrained) -> None:
    ages = second_retrain.workspace.releases.manifest(2).ages()
    judged = {subject_of(gate): gate["observed"] for gate in second_retrain.result.gates}
    lent, trained = (f"{NAME}.task.{task}" for task in ("return_5d", "click_30m"))
    assert judged["return_5d.newest_training_row"]["value"] == ages[lent].days > ages[trained].days
    first = second_retrain.workspace.releases.manifest(1).ages()[lent]
    assert ages[lent] - first == LATER - AS_OF


def test_a_second_release_challenges_and_leaves_the_champion_alone(second_retrain: Retrained) -> None:
    assert second_retrain.result.release == 2
    assert second_retrain.aliases == {"challenger": 2, "champion": 1}


def test_a_second_release_is_compared_with_the_champion(second_retrain: Retrained) -> None:
    judged = {(gate["gate"], subject_of(gate)) for gate in second_retrain.result.gates}
    assert ("model", "click_30m.auc_by_request_drop") in judged
    assert ("model", "click_30m.auc_by_request") not in judged
    assert {("shadow", "overlap_at_k"), ("shadow", "score_shift")} <= judged


def test_a_slow_task_without_a_mature_label_in_the_shared_slice_is_held_to_the_floor(
    second_retrain: Retrained,
) -> None:
    judged = [gate for gate in second_retrain.result.gates if gate["threshold"] == {"low": 0.5}]
    (floor,) = [gate for gate in judged if subject_of(gate).startswith("return_5d.auc")]
    assert "shared test slice" in floor["reason"]


def test_labels_as_of_the_past_are_those_of_that_day(
    first_retrain: Retrained, second_retrain: Retrained
) -> None:
    """The log has grown by two days since, and the store's own labels are of LATER."""
    workspace = second_retrain.workspace
    made = workspace.releases.manifest(1).snapshot
    rebuilt = labels.run(workspace, as_of=AS_OF)
    assert (rebuilt.snapshot, rebuilt.digest) == (made.id, made.content_digest)
    assert labels.run(workspace, as_of=LATER).snapshot != made.id


def test_a_policy_changed_without_its_version_is_refused_and_nothing_registered(
    second_retrain: Retrained, tmp_path: Path
) -> None:
    silent = mini.changed(second_retrain.workspace, tmp_path, utility=mini.lighter_hides)
    before = mini.versions(silent)
    with pytest.raises(ContractError, match=r"utility\.yaml changed while its version did not"):
        retrain(silent, as_of=LATER, tasks=["click_30m"])
    assert mini.versions(silent) == before


@pytest.mark.e2e
def test_killed_seven_times_it_ends_in_the_same_release(first_retrain: Retrained, killed: Killed) -> None:
    """Its log holds later days too: neither they nor the processes that died left a byte in any part."""
    assert killed.retrained == [-signal.SIGKILL] * 7 + [0]
    assert mini.versions(killed.workspace) == first_retrain.versions
    assert killed.workspace.store.registry.aliases(f"{NAME}.release") == {"challenger": 1, "champion": 1}


@pytest.mark.e2e
def test_killed_seven_times_its_verdict_is_the_same(first_retrain: Retrained, killed: Killed) -> None:
    assert killed.result["verdict"] == first_retrain.result.verdict
    ours, theirs = (_without_runs(gates) for gates in (killed.result["gates"], first_retrain.result.gates))
    assert ours == theirs


@pytest.mark.e2e
def test_a_promotion_that_was_killed_three_times_makes_one_move(killed: Killed) -> None:
    assert killed.promoted == [-signal.SIGKILL] * 3 + [0]
    (moved,) = release_view.history(killed.workspace)
    assert (moved["kind"], moved["from"], moved["to"]) == ("promote", None, 1)
    assert release_view.verify(killed.workspace, "champion").problems == []


@pytest.mark.e2e
def test_no_run_of_a_killed_step_is_left_open(killed: Killed) -> None:
    client = killed.workspace.store.registry.client
    experiment = client.get_experiment_by_name(NAME).experiment_id
    runs = client.search_runs([experiment])
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    assert not list(killed.workspace.home.glob("**/.*.part"))


def _without_runs(gates: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in gate.items() if name != "evidence"} for gate in gates]


def test_an_unknown_task_is_named_with_the_nearest_known(first_retrain: Retrained) -> None:
    with pytest.raises(ContractError, match=r"Unknown task 'clik_30m'.*Did you mean 'click_30m'"):
        retrain(first_retrain.workspace, as_of=AS_OF, tasks=["clik_30m"])


def test_missing_logs_are_one_message_and_exit_code_2(
    mini_surfaces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = new_home(tmp_path)
    capsys.readouterr()
    where = ["--surfaces", str(mini_surfaces), "--home", str(home)]
    assert main(["retrain", NAME, "--as-of", AS_OF.isoformat(), *where]) == 2
    printed = capsys.readouterr()
    *_, said = printed.err.splitlines()
    assert said.startswith(
        "DataError: No impressions: 'home_feed/impressions/*.parquet' matches no Parquet file"
    )
    assert "copy the logs to" in said
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_too_short_a_history_says_what_is_missing(
    mini_surfaces: Path, mini_world: Path, tmp_path: Path
) -> None:
    """Ten days hold no slice of any task."""
    workspace = mini.with_log(mini_surfaces, mini_world, tmp_path, days=10)
    with pytest.raises(DataError, match=r"Task 'click_30m' cannot be trained as of .* mature days"):
        retrain(workspace, as_of=mini.FIRST.replace(day=11))
    assert mini.versions(workspace) == {}


@dataclass
class Readings:
    """How often a retrain opened the log, and which days it read of a task and of all rows."""

    openings: int = 0
    of_tasks: list[tuple[str, DaySlice]] = field(default_factory=list)
    of_all: list[DaySlice] = field(default_factory=list)


@pytest.fixture(scope="module")
def readings(
    mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, Readings]:
    """A retrain of two tasks, with what it read."""
    folder, found = tmp_path_factory.mktemp("readings"), Readings()
    changes = {"surface": mini.surface_of_two, "tasks": mini.two_tasks, "utility": mini.utility_of_two}
    workspace = mini.changed(mini.with_log(mini_surfaces, mini_world, folder), folder, **changes)
    open_tables, read_task, read_days = session.open_tables, TaskRows.read_for_report, Snapshot.read

    def counted_opening(*given: Any) -> Any:
        found.openings += 1
        return open_tables(*given)

    def counted_task(rows: TaskRows, days: DaySlice) -> Any:
        found.of_tasks.append((rows.task, days))
        return read_task(rows, days)

    def counted_days(snapshot: Snapshot, columns: Any, **days: Any) -> Any:
        if "first_day" in days and days.get("where") is None:
            found.of_all.append(DaySlice(days["first_day"], days["last_day"]))
        return read_days(snapshot, columns, **days)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "open_tables", counted_opening)
        patch.setattr(TaskRows, "read_for_report", counted_task)
        patch.setattr(Snapshot, "read", counted_days)
        retrain(workspace, as_of=AS_OF)
    return workspace, found


def test_a_retrain_opens_the_log_once_for_labels_and_once_for_replay_and_shadow(
    readings: tuple[Workspace, Readings],
) -> None:
    assert readings[1].openings == 2


def test_a_retrain_reads_the_test_days_once_for_a_model_and_its_calibrator_and_once_for_the_release(
    readings: tuple[Workspace, Readings],
) -> None:
    """The replay reads the labels of what was shown beside the log's candidates, one day after the other."""
    workspace, found = readings
    test = DaySlice(*workspace.releases.manifest(1).test)
    assert sorted(task for task, days in found.of_tasks if days == test) == sorted(mini.TWO)
    assert [days for days in found.of_all if days == test] == [test]
    replayed = [days.first for days in found.of_all if days.first == days.last and days.first in test]
    assert replayed == [test.first + timedelta(days=n) for n in range((test.last - test.first).days + 1)]
