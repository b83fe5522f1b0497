"""What every step of every DAG has: a retry policy, a time limit and a link to its MLflow run.

::

    @step
    def train(surface, task, ...):
        from tasks.steps import train                      # heavy imports happen inside the step
        return report(train.run(...), "task", "version")   # ids and counts go on, the link is kept
"""

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

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

from dags.place import home_folder
from tasks.errors import ContractError, DataError, GateRefused, StoreError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            exception=[ContractError, DataError, GateRefused],
            action=RetryAction.FAIL,
            reason="trying again would find the same: a contract, the data or a rule says no",
        ),
        RetryRule(
            exception=[StoreError, OSError],
            action=RetryAction.RETRY,
            reason="a store, a service or the disk failed: it may answer the next time",
        ),
    ]
)

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
    """A Python step with its MLflow link, which it has where it fails too."""

    operator_extra_links = (MlflowRunLink(),)
    custom_operator_name = "@step"
    mlflow_run = ""

    def execute(self, context: Context) -> Any:
        """Run the step; where it fails, look for the run that it had opened by then."""
        try:
            return super().execute(context)
        except Exception:
            with suppress(Exception):  # the step's own error matters, not that of looking for a link
                self.mlflow_run = _opened_run(self, context)
            raise


step = partial(task_decorator_factory, decorated_operator_class=StepOperator, multiple_outputs=False)


def report(result: Any, *fields: str) -> dict[str, Any]:
    """Keep a result's ids and counts as plain JSON, and its MLflow run as the step's link."""
    values = asdict(result)
    if run_id := values.get("run_id"):
        get_current_context()["ti"].task.mlflow_run = run_address(run_id)
    return {name: values[name] for name in fields}


def mlflow_address() -> str:
    """Return where people open MLflow, or nothing where only its store is known."""
    address = os.environ.get("EQUIPOISE_MLFLOW_URL") or os.environ.get("MLFLOW_TRACKING_URI", "")
    return address.rstrip("/") if address.startswith("http") else ""


def run_address(run_id: str) -> str:
    """Return the address of one MLflow run."""
    from tasks.stores.tracking import connect

    if not (address := mlflow_address()):
        return ""
    return (
        f"{address}/#/experiments/{connect(home_folder()).get_run(run_id).info.experiment_id}/runs/{run_id}"
    )


def _opened_run(operator: StepOperator, context: Context) -> str:
    """Return the address of the newest run of this step since it began, where it came that far."""
    if "tasks.stores.runs" not in sys.modules:
        return ""
    from tasks.stores.tracking import connect, experiment_id

    client, named = connect(home_folder()), operator.op_kwargs
    began = int(context["ti"].start_date.timestamp() * 1000)
    wanted = {"tags.step": operator.task_id.rpartition(".")[2], "tags.task": named.get("task_name")}
    same = [f"{tag} = '{value}'" for tag, value in wanted.items() if value]
    runs = client.search_runs(
        [experiment_id(client, home_folder(), named["surface"])],
        " and ".join([*same, f"attributes.start_time >= {began}"]),
        max_results=1,
    )
    return run_address(runs[0].info.run_id) if runs else ""
