"""The decorator of every step: retry policy, time limit, link to MLflow, one line of the error.

::

    @step
    def train(surface, task, ...):
        from tasks import pipeline                               # heavy imports happen inside the step
        return report(pipeline.STEPS["train"].function(...), "task", "version")    # ids and counts go on
"""

import logging
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk import (
    BaseOperatorLink,
    Context,
    ExceptionRetryPolicy,
    RetryAction,
    RetryRule,
    get_current_context,
)
from airflow.sdk.bases.decorator import task_decorator_factory
from airflow.sdk.exceptions import (
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTimeout,
    DagRunTriggerException,
    XComNotFound,
)

from dags.note import tell_error
from dags.place import home_folder
from tasks.errors import AuditMismatch, ContractError, DataError, GateRefused, StoreError
from tasks.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[ContractError, DataError, GateRefused, AuditMismatch],
            action=RetryAction.FAIL,
            reason="retrying would fail again: a contract, the data, a gate or the audit is at fault",
        ),
        RetryRule(
            exception=XComNotFound,
            action=RetryAction.FAIL,
            reason="an upstream step failed; see its error",
        ),
        RetryRule(
            exception=[StoreError, OSError],
            action=RetryAction.RETRY,
            reason="a store, a service or the disk failed: it may answer the next time",
        ),
    ]
)

RELEASES = "releases"
"""The Celery queue of steps that make releases, record approvals and move aliases.

Its worker has an MLflow account, an object-store key and an audit key of its own (docker-compose.yml).
"""

HOUSE_RULES: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "retry_policy": POLICY,
    "execution_timeout": timedelta(hours=2),
}


class MlflowRunLink(BaseOperatorLink):
    """The button "MLflow run" of a step."""

    @property
    def name(self) -> str:
        """The button's words."""
        return "MLflow run"

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey") -> str:
        """Return the address of the run that the step reported, or of MLflow where it reported none."""
        return str(getattr(operator, "mlflow_run", "") or mlflow_address())


class StepOperator(_PythonDecoratedOperator):
    """A Python step with its MLflow link; where it fails it has that too, and its error in the run's note."""

    operator_extra_links = (MlflowRunLink(),)
    custom_operator_name = "@step"
    mlflow_run = ""

    def execute(self, context: Context) -> Any:
        """Run the step; where it fails, look for the run that it had opened by then."""
        try:
            return super().execute(context)
        except (AirflowRescheduleException, AirflowSkipException, DagRunTriggerException):
            raise
        except (Exception, AirflowTaskTimeout) as error:
            with suppress(Exception):  # the step's own error matters, not that of telling it
                tell_error(error)
            with suppress(Exception):
                self.mlflow_run = self.mlflow_run or _opened_run(self, context)
            raise


step = partial(task_decorator_factory, decorated_operator_class=StepOperator, multiple_outputs=False)


def report(result: Any, *fields: str, page: str = "") -> dict[str, Any]:
    """Keep a result's ids and counts as plain JSON, and its MLflow run, or a page of that, as the link."""
    values = asdict(result)
    if run_id := values.get("run_id"):
        get_current_context()["ti"].task.mlflow_run = run_address(run_id, page)
    return {name: values[name] for name in fields}


def link() -> str:
    """Return the address of the MLflow run that this step reported."""
    return str(get_current_context()["ti"].task.mlflow_run)


def point_to(address: str) -> None:
    """Let the step's link lead to an address."""
    get_current_context()["ti"].task.mlflow_run = address


def wait(pause: timedelta, why: str) -> NoReturn:
    """End the step for now, without a slot, and let it begin anew after a pause."""
    logging.getLogger("equipoise").info("%s; tries again in %s", why, pause)
    raise AirflowRescheduleException(datetime.now(UTC) + pause)


def trigger(dag_id: str, run_id: str, conf: dict[str, Any]) -> NoReturn:
    """End the step well by starting a run of another DAG, unless there is one of that id already."""
    raise DagRunTriggerException(
        trigger_dag_id=dag_id,
        dag_run_id=run_id,
        conf=conf,
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=0,
        deferrable=False,
    )


def mlflow_address() -> str:
    """Return where people open MLflow, or nothing where only its store is known."""
    return Settings().mlflow_address


def run_address(run_id: str, page: str = "") -> str:
    """Return the address of one MLflow run, or of a page among its artifacts."""
    if not (address := mlflow_address()):
        return ""
    from tasks.stores.store import Store

    experiment = Store.open(home_folder()).client.get_run(run_id).info.experiment_id
    run = f"{address}/#/experiments/{experiment}/runs/{run_id}"
    return f"{run}/artifacts/{page}" if page else run


def release_address(name: str, version: int) -> str:
    """Return the address of a release in MLflow's registry."""
    return f"{address}/#/models/{name}/versions/{version}" if (address := mlflow_address()) else ""


def _opened_run(operator: StepOperator, context: Context) -> str:
    """Return the address of the newest run of this step since it began, where it came that far."""
    if "tasks.stores.runs" not in sys.modules:
        return ""

    from tasks.stores.store import Store

    store, named = Store.open(home_folder()), operator.op_kwargs
    began = int(context["ti"].start_date.timestamp() * 1000)
    of = named.get("task_name") or named.get("trunk_name")
    wanted = {"tags.step": operator.task_id.rpartition(".")[2], "tags.task": of}
    same = [f"{tag} = '{value}'" for tag, value in wanted.items() if value]
    runs = store.client.search_runs(
        [store.runs.experiment_id(named["surface"])],
        " and ".join([*same, f"attributes.start_time >= {began}"]),
        max_results=1,
    )
    return run_address(runs[0].info.run_id) if runs else ""
