import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import ContractError
from tests.dags.conftest import parse

BY_SCHEDULE = ("labels", "retrain", "retrain_slow", "ramp", "experiment", "monitor", "prune")


def test_a_bad_surface_shows_its_own_problem_and_leaves_the_others_standing(bag: SimpleNamespace) -> None:
    bad = bag.dags["misspelt__retrain"]
    assert "Did you mean 'click_30m'?" in bad.doc_md
    assert "broken-contracts" in bad.tags
    assert len(bag.dags["feed__retrain"].tasks) == 11


def test_its_only_step_fails_with_the_problem(bag: SimpleNamespace) -> None:
    (step,) = bag.dags["misspelt__labels"].tasks
    with pytest.raises(ContractError, match="Unknown task 'clikc_30m'"):
        step.python_callable()


def test_its_run_comes_by_schedule_so_that_somebody_notices(bag: SimpleNamespace) -> None:
    assert bag.dags["misspelt__retrain"].timetable.can_be_scheduled


def test_a_cron_without_such_an_hour_is_that_surfaces_problem_alone(bag: SimpleNamespace) -> None:
    for workflow in ("labels", "retrain"):
        assert "is not a cron string" in bag.dags[f"no_such_hour__{workflow}"].doc_md
    assert len(bag.dags["feed__labels"].tasks) == 2


def test_a_mended_surface_comes_back(copied_surfaces: Path, airflow_home: object) -> None:
    shutil.copy(copied_surfaces / "feed/utility.yaml", copied_surfaces / "misspelt/utility.yaml")
    assert len(parse(copied_surfaces).dags["misspelt__retrain"].tasks) == 11


def test_a_folder_with_a_strange_name_gets_a_dag_that_says_so(
    copied_surfaces: Path, airflow_home: object
) -> None:
    (copied_surfaces / "feed").rename(copied_surfaces / "my feed!")
    found = parse(copied_surfaces)
    assert found.import_errors == {}
    assert "surface" in found.dags["my_feed___labels"].doc_md
    assert "shop__labels" in found.dags


def test_a_step_builds_the_dag_of_its_own_surface_alone(
    surfaces: Path, airflow_home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "shop__retrain")  # as Airflow sets it before a step
    found = parse(surfaces).dags
    assert [name for name in found if name.endswith("__retrain")] == ["shop__retrain"]
    assert "feed__labels" in found, "a file that has no such DAG makes all of its own"


def test_a_missing_file_is_that_surfaces_problem(copied_surfaces: Path, airflow_home: object) -> None:
    (copied_surfaces / "feed/slate.yaml").unlink()
    found = parse(copied_surfaces)
    assert "slate.yaml" in found.dags["feed__labels"].doc_md
    assert len(found.dags["shop__labels"].tasks) == 2


def test_a_missing_folder_of_surfaces_is_an_import_error_that_names_it(
    tmp_path: Path, airflow_home: object
) -> None:
    found = parse(tmp_path / "nowhere")
    assert found.dags == {}
    assert all("No folder of surfaces" in error for error in found.import_errors.values())
    assert {Path(file).stem for file in found.import_errors} == {
        *BY_SCHEDULE,
        "policy_change",
        "promote",
        "rollback",
    }


def test_an_ended_surface_is_never_scheduled_again(bag: SimpleNamespace) -> None:
    assert _stored(bag.dags["ended__labels"]).next_dagrun_info(last_automated_run_info=None) is None
    assert _stored(bag.dags["feed__labels"]).next_dagrun_info(last_automated_run_info=None) is not None


def test_an_ended_surface_can_be_backfilled_up_to_its_end(bag: SimpleNamespace) -> None:
    infos = list(
        _stored(bag.dags["ended__labels"]).iter_dagrun_infos_between(
            datetime(2017, 12, 30, tzinfo=UTC), datetime(2018, 2, 1, tzinfo=UTC)
        )
    )
    assert [info.data_interval.start.date().isoformat() for info in infos] == ["2017-12-30", "2017-12-31"]


def test_no_step_of_an_ended_surface_has_an_end_that_would_leave_it_out_of_runs_by_hand(
    bag: SimpleNamespace,
) -> None:
    for workflow in BY_SCHEDULE:
        stored = _stored(bag.dags[f"ended__{workflow}"])
        assert stored.end_date is None
        assert {step.end_date for step in stored.tasks} == {None}


def _stored(dag: Any) -> Any:
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
