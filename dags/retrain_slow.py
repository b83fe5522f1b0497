"""Monthly: retrain the tasks with `cadence: slow`; the steps are in `dags.retrain_steps`."""

from airflow.sdk import DAG

from dags.retrain_steps import SLOW
from dags.retraining import retraining
from dags.surfaces import for_every_surface
from tasks.contracts import Contracts

RUNBOOK = """
### What it does

The same as `retrain`, for the tasks with `cadence: slow`, whose labels take weeks to mature; it reuses the
champion's models of the fast tasks. A first release trains every task. While a `retrain` of the surface runs,
it waits in `arrival`, and then reads the new champion.

### By hand

Start it with `as_of` to read the data as of that instant (empty: now), and with `tasks` to train only some of
them (empty: all that are slow; the others come from the champion). A backfill retrains as of the
end of each interval; its release is marked and moves no alias.
"""


def monthly_retrain(contracts: Contracts) -> DAG:
    """Retrain the slow tasks."""
    return retraining(contracts, SLOW, cron=contracts.surface.schedule.retrain_slow, runbook=RUNBOOK)


globals().update(for_every_surface(SLOW, monthly_retrain))
