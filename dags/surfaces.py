"""One DAG of each workflow for every surface, and a red one for a surface that cannot be read.

::

    surfaces/a  valid    -> a__retrain    as the workflow builds it
    surfaces/b  broken   -> b__retrain    one step, which fails with the problems; its doc shows them too
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_parsing_context

from dags.moment import written
from dags.notify import on_failure
from dags.place import surfaces_folder
from dags.step import HOUSE_RULES, RELEASES, step
from tasks.contracts import Contracts, load_surface, surface_names
from tasks.errors import ContractError, EquipoiseError

FIRST_DAY = datetime(2010, 1, 1, tzinfo=UTC)
ORDER = (
    "labels",
    "retrain",
    "retrain_slow",
    "policy_change",
    "promote",
    "rollback",
    "ramp",
    "experiment",
    "monitor",
)
"""The workflows in the order in which the list of DAGs shows them; `prune` comes last."""

_RELEASING = frozenset({"policy_change", "promote", "rollback", "ramp", "prune"})
"""The workflows whose every step is in the queue of releases; of a retrain two steps are."""


def for_every_surface(
    workflow: str, build: Callable[[Contracts], DAG], *, by_hand: bool = False
) -> dict[str, DAG]:
    """Build a workflow's DAG of every surface, by DAG id; in a step the DAG of its own surface alone.

    Parameters
    ----------
    by_hand : whether it has no schedule.

    Raises
    ------
    ContractError
        There is no folder of surfaces.
    """
    names, wanted = surface_names(surfaces_folder()), get_parsing_context().dag_id
    own = [name for name in names if _dag_id(name, workflow) == wanted]
    dags = (_build(workflow, build, name, by_hand=by_hand) for name in own or names)
    return {dag.dag_id: dag for dag in dags}


def describe(
    contracts: Contracts, workflow: str, *, cron: str | None, runbook: str, waits: timedelta = timedelta()
) -> dict[str, Any]:
    """Return what the DAGs of all workflows say of themselves in the same way.

    Parameters
    ----------
    cron : its schedule, None where people start it.
    waits : how long a run may wait besides the time that its work may take.
    """
    surface = contracts.surface
    roles = "; ".join(f"{role}: {', '.join(users)}" for role, users in surface.reviewers.items())
    return {
        "dag_id": _dag_id(contracts.name, workflow),
        "dag_display_name": display_name(contracts.name, workflow),
        "schedule": _schedule(contracts, cron),
        "start_date": FIRST_DAY,
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=12) + waits,
        "default_args": {
            "owner": surface.owner,
            **HOUSE_RULES,
            **({"queue": RELEASES} if workflow in _RELEASING else {}),
        },
        "tags": ["equipoise", contracts.name, workflow],
        "doc_md": f"{runbook.strip()}\n\n### Who\nOwner: {surface.owner}. Reviewers: {roles or 'none'}.\n",
        "auto_register": False,
        "on_failure_callback": on_failure(contracts) or None,
        # a run that a person starts would wait without a word while its DAG is paused
        "is_paused_upon_creation": False if cron is None else None,
    }


def display_name(surface: str, workflow: str) -> str:
    """Name a DAG for people; the list of DAGs is sorted by it.

    Examples
    --------
    >>> display_name("home_feed", "retrain_slow")
    'home_feed · 3 retrain slow'
    >>> display_name("home_feed", "prune")
    'home_feed · prune'
    """
    place = f"{ORDER.index(workflow) + 1} " if workflow in ORDER else ""
    return f"{surface} · {place}{workflow.replace('_', ' ')}"


def as_of_param(contracts: Contracts) -> Param:
    """Ask for the as-of of a run by hand; where the logs have ended, the form begins with their end."""
    ends_at = contracts.surface.ends_at
    return optional(
        "As of",
        "Read the data as of this instant (with a zone). Empty: the time of the trigger.",
        value=None if ends_at is None else written(ends_at),
        format="date-time",
    )


def optional(
    title: str, description: str, *, value: str | None = None, of: str = "string", **schema: Any
) -> Param:
    """Return a field of a form that may stay empty, which Airflow shows without the mark of required ones."""
    return Param(value, type=["null", of], title=f"{title} (optional)", description=description, **schema)


def _dag_id(name: str, workflow: str) -> str:
    """Return the id of a surface's DAG; a broken surface may have a name that Airflow refuses."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}__{workflow}"


def _schedule(contracts: Contracts, cron: str | None) -> Any:
    if cron is None:
        return None
    ends_at = contracts.surface.ends_at
    if ends_at is None:
        return CronDataIntervalTimetable(cron, timezone="UTC")
    from dags.ending import EndingCronTimetable

    return EndingCronTimetable(cron, until=ends_at)


def _build(workflow: str, build: Callable[[Contracts], DAG], name: str, *, by_hand: bool) -> DAG:
    try:
        dag = build(load_surface(surfaces_folder(), name))
        dag.validate()
        dag.timetable.validate()
    except Exception as error:  # noqa: BLE001 - one bad surface must not take the others' DAGs with it
        return _broken(workflow, name, error, by_hand=by_hand)
    return dag


def _broken(workflow: str, name: str, error: Exception, *, by_hand: bool) -> DAG:
    problem = str(error) if isinstance(error, EquipoiseError) else f"{type(error).__name__}: {error}"
    with DAG(
        dag_id=_dag_id(name, workflow),
        dag_display_name=f"{display_name(name, workflow)} (contracts cannot be read)",
        schedule=None if by_hand else CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "equipoise", **HOUSE_RULES},
        tags=["equipoise", "broken-contracts", re.sub(r"[^A-Za-z0-9_.-]", "_", name), workflow],
        doc_md=f"## This surface's contracts cannot be used\n\n```\n{problem}\n```\n\n"
        f"Fix the files in `{name}/` and run `equipoise check {name}`; the DAG comes back by itself.\n",
        auto_register=False,
    ) as dag:

        @step(task_id="contracts")
        def contracts() -> None:
            raise ContractError(problem)

        contracts()
    return dag
