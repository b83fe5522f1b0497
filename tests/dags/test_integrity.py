import doctest
import json
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.errors import AuditMismatch, ContractError, DataError, GateRefused, ImmatureLabels, StoreError
from tests.dags.conftest import REPOSITORY, parse, steps_of

GOOD = ["feed", "shop", "ended"]
ALL = [*GOOD, "misspelt", "no_such_hour"]
WORKFLOWS = ["labels", "retrain", "retrain_slow", "ramp", "experiment", "monitor", "prune"]
RETRAINS = ["retrain", "retrain_slow"]
BY_HAND = ["policy_change", "promote", "rollback"]


def test_every_file_parses(bag: SimpleNamespace) -> None:
    assert bag.import_errors == {}


def test_every_surface_has_every_workflow(bag: SimpleNamespace) -> None:
    assert set(bag.dags) == {f"{surface}__{workflow}" for surface in ALL for workflow in WORKFLOWS + BY_HAND}


def test_a_file_that_makes_no_dag_is_not_parsed_as_one(bag: SimpleNamespace) -> None:
    folder = REPOSITORY / "dags"
    ignored = (folder / ".airflowignore").read_text(encoding="utf-8").split("\n")
    makes_none = {file.name for file in folder.glob("*.py")} - {
        Path(dag.fileloc).name for dag in bag.dags.values()
    }
    assert makes_none == {name for name in ignored if name.endswith(".py")}


def test_the_repositorys_own_surfaces_parse_whole(airflow_home: object) -> None:
    own = parse(REPOSITORY / "surfaces")
    assert own.import_errors == {}
    assert [dag.dag_id for dag in own.dags.values() if "broken-contracts" in dag.tags] == []


def test_steps_that_make_releases_or_move_aliases_have_a_queue_of_their_own(bag: SimpleNamespace) -> None:
    queues = {
        name: {task.task_id for task in dag.tasks if task.queue == "releases"}
        for name, dag in bag.dags.items()
    }
    for surface in GOOD:
        for workflow in BY_HAND:
            assert queues[f"{surface}__{workflow}"] == set(bag.dags[f"{surface}__{workflow}"].task_ids)
        for workflow in RETRAINS:
            assert queues[f"{surface}__{workflow}"] == {"release", "gate"}
        assert queues[f"{surface}__labels"] == queues[f"{surface}__monitor"] == set()


@pytest.mark.parametrize("surface", GOOD)
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_dag_keeps_the_house_rules(bag: SimpleNamespace, surface: str, workflow: str) -> None:
    dag = bag.dags[f"{surface}__{workflow}"]
    assert dag.tags == {"equipoise", surface, workflow}
    assert dag.owner == "recsys-ranking"
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.dagrun_timeout is not None
    assert dag.fileloc == str(REPOSITORY / "dags" / f"{workflow}.py")


def test_the_list_of_dags_is_sorted_by_surface_and_then_by_a_release_s_life(bag: SimpleNamespace) -> None:
    names = {dag.dag_display_name: dag_id for dag_id, dag in bag.dags.items()}
    life = [
        "labels",
        "retrain",
        "retrain_slow",
        "policy_change",
        "promote",
        "rollback",
        "ramp",
        "experiment",
        "monitor",
        "prune",
    ]
    assert [names[name] for name in sorted(names)] == [
        f"{surface}__{workflow}" for surface in sorted(ALL) for workflow in life
    ]
    assert names["feed · 3 retrain slow"] == "feed__retrain_slow"
    assert names["misspelt · 2 retrain (contracts cannot be read)"] == "misspelt__retrain"


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_doc_is_a_runbook_that_begins_with_triage(bag: SimpleNamespace, workflow: str) -> None:
    doc = bag.dags[f"feed__{workflow}"].doc_md
    assert doc.startswith("## Triage")
    assert all(word in doc for word in ("ContractError", "DataError", "StoreError", "### By hand"))
    assert "Owner: recsys-ranking. Reviewers: product: ana; safety: sam." in doc


@pytest.mark.parametrize("surface", ALL)
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_every_step_has_retries_a_policy_a_limit_and_a_link(
    bag: SimpleNamespace, surface: str, workflow: str
) -> None:
    from dags.step import POLICY

    for step in bag.dags[f"{surface}__{workflow}"].tasks:
        assert step.retries == 2
        assert step.retry_policy is POLICY
        assert timedelta() < step.execution_timeout <= timedelta(hours=2)
        assert [link.name for link in step.operator_extra_links] == ["MLflow run"]


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ContractError("x"), "fail"),
        (DataError("x"), "fail"),
        (ImmatureLabels("x"), "fail"),
        (GateRefused("x"), "fail"),
        (StoreError("x"), "retry"),
        (AuditMismatch("x"), "fail"),
        (OSError("x"), "retry"),
        (ConnectionResetError("x"), "retry"),
        (ValueError("x"), "default"),
    ],
)
def test_what_would_fail_again_fails_at_once(airflow_home: object, error: Exception, action: str) -> None:
    from dags.step import POLICY

    assert POLICY.evaluate(error, 1, 3).action.value == action


def test_what_a_failed_step_did_not_hand_on_is_not_waited_for(airflow_home: object) -> None:
    from airflow.sdk.exceptions import XComNotFound

    from dags.step import POLICY

    assert POLICY.evaluate(XComNotFound("feed__retrain", "plan", "tasks"), 1, 3).action.value == "fail"


@pytest.mark.parametrize("workflow", RETRAINS)
def test_a_retrain_runs_in_this_order(bag: SimpleNamespace, workflow: str) -> None:
    steps = steps_of(bag.dags[f"feed__{workflow}"])
    before = {name: step.upstream_task_ids for name, step in steps.items()}
    assert before["arrival"] == set()
    assert before["plan"] == {"arrival"}
    assert before["labels"] == {"arrival", "plan"}
    assert before["validate"] == {"arrival", "labels"}
    assert {"plan", "validate"} <= before["models.train"]
    assert "models.train" in before["models.calibrate"]
    assert {"validate", "models.calibrate"} <= before["release"]
    assert before["simulate"] == before["shadow"] == {"release"}
    assert {"plan", "validate", "models.calibrate", "release", "simulate", "shadow"} == before["gate"]
    assert before["propose"] == {"gate"}


def test_the_gate_runs_whatever_happened_before_it(bag: SimpleNamespace) -> None:
    rules = {name: step.trigger_rule for name, step in steps_of(bag.dags["feed__retrain"]).items()}
    assert {name for name, rule in rules.items() if rule == "all_done"} == {"gate"}


def test_labels_are_checked_after_they_are_built(bag: SimpleNamespace) -> None:
    assert steps_of(bag.dags["feed__labels"])["validate"].upstream_task_ids == {"labels"}


@pytest.mark.parametrize("step", ["models.train", "models.calibrate"])
def test_a_mapped_step_shows_its_tasks_name(bag: SimpleNamespace, step: str) -> None:
    template = steps_of(bag.dags["feed__retrain"])[step].map_index_template
    assert template == "{{ task.op_kwargs['task_name'] }}"


def test_tasks_train_side_by_side(bag: SimpleNamespace) -> None:
    """Only the executor, its pool and the DAG's number of steps bound how many."""
    dag = bag.dags["feed__retrain"]
    train = steps_of(dag)["models.train"]
    assert (train.max_active_tis_per_dag, train.max_active_tis_per_dagrun) == (None, None)
    assert {name for name in train.upstream_task_ids if name.startswith("models.")} == set()
    assert (dag.max_active_tasks, train.pool) == (16, "default_pool")


def test_each_workflow_follows_its_surfaces_schedule(bag: SimpleNamespace) -> None:
    assert _summary(bag.dags["feed__labels"]) == "0 2 * * *"
    assert _summary(bag.dags["shop__retrain"]) == "30 4 * * 2"
    assert _summary(bag.dags["feed__retrain_slow"]) == "0 4 1 * *"


def test_each_retrain_trains_what_is_due_at_its_cadence(bag: SimpleNamespace) -> None:
    for workflow in RETRAINS:
        plan = steps_of(bag.dags[f"shop__{workflow}"])["plan"]
        assert plan.op_kwargs["workflow"] == workflow


def test_a_run_may_wait_for_its_log_besides_the_time_of_its_work(bag: SimpleNamespace) -> None:
    assert bag.dags["feed__retrain"].dagrun_timeout == timedelta(hours=24)
    assert bag.dags["shop__retrain"].dagrun_timeout == timedelta(hours=15)
    assert bag.dags["feed__labels"].dagrun_timeout == timedelta(hours=12)


def test_a_dag_survives_serialisation(bag: SimpleNamespace) -> None:
    for dag in bag.dags.values():
        again = _stored(dag)
        assert {step.task_id for step in again.tasks} == {step.task_id for step in dag.tasks}
        scheduled = dag.dag_id.rpartition("__")[2] in WORKFLOWS
        assert again.timetable.periodic == scheduled  # so the UI, the CLI and the API can backfill it


def test_the_form_asks_for_an_as_of_and_tasks(bag: SimpleNamespace) -> None:
    params = bag.dags["feed__retrain"].params
    assert params.dump() == {"as_of": None, "tasks": None}
    assert params.get_param("as_of").schema["format"] == "date-time"
    assert params.get_param("tasks").schema["items"]["enum"] == ["click_30m", "purchase_7d"]


def test_the_form_of_an_ended_surface_begins_with_the_end_of_its_logs(bag: SimpleNamespace) -> None:
    for workflow in set(WORKFLOWS) - {"prune"}:
        assert bag.dags[f"ended__{workflow}"].params["as_of"] == "2018-01-01T00:00:00Z"


def test_the_form_refuses_a_task_that_does_not_exist(bag: SimpleNamespace) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    param = bag.dags["feed__retrain"].params.get_param("tasks")
    with pytest.raises(ParamValidationError, match="clikc"):
        param.resolve(["clikc_30m"])


def test_the_examples_in_the_files_are_true(airflow_home: object) -> None:
    import dags.champion
    import dags.note
    import dags.retrain_steps
    import dags.surfaces

    files = (dags.champion, dags.note, dags.retrain_steps, dags.surfaces)
    assert [doctest.testmod(file).failed for file in files] == [0, 0, 0, 0]


def test_the_gate_names_everything_that_did_not_end(airflow_home: object) -> None:
    from dags.retrain_steps import find_unfinished

    nothing = dict.fromkeys(("plan", "calibrate", "validate", "release", "simulate", "shadow"))
    assert find_unfinished(nothing) == ["plan", "validate", "release", "simulate", "shadow"]
    one = {"calibrate": [{"task": "a"}], "release": None}
    assert find_unfinished({"plan": ["a", "b"], **one}) == ["models (b)", "release"]
    assert find_unfinished({"plan": ["a"], **one, "release": {"version": 1}}) == []


def _summary(dag: Any) -> str:
    return str(_stored(dag).timetable.summary)


def _stored(dag: Any) -> Any:
    from airflow.serialization.serialized_objects import DagSerialization

    stored = json.loads(json.dumps(DagSerialization.serialize_dag(dag)))
    return DagSerialization.deserialize_dag(stored)


def test_a_form_marks_what_is_optional_and_asks_for_the_rest(bag: SimpleNamespace) -> None:
    fields = {
        (workflow, name): dag.params.get_param(name)
        for workflow in WORKFLOWS + BY_HAND
        for dag in [bag.dags[f"feed__{workflow}"]]
        for name in dag.params
    }
    optional = {key for key, field in fields.items() if "null" in field.schema["type"]}
    assert {key for key, field in fields.items() if field.schema["title"].endswith(" (optional)")} == optional
    assert set(fields) - optional == {("promote", "release"), ("promote", "why"), ("rollback", "why")}
    assert {fields[key].resolve() for key in optional} == {None}


def test_a_dag_that_only_people_start_is_not_paused_so_that_its_runs_begin(bag: SimpleNamespace) -> None:
    paused = {
        workflow: bag.dags[f"feed__{workflow}"].is_paused_upon_creation for workflow in WORKFLOWS + BY_HAND
    }
    assert paused == {**dict.fromkeys(WORKFLOWS), **dict.fromkeys(BY_HAND, False)}
