"""Weekly: retrain the fast tasks and evaluate the gates; the steps are in `dags.retrain_steps`."""

from airflow.sdk import DAG

from dags.retrain_steps import FAST
from dags.retraining import retraining
from dags.surfaces import for_every_surface
from tasks.contracts import Contracts

RUNBOOK = """
### What it does

Waits for the log, plans which tasks to train, builds and checks missing labels, trains and calibrates each
task, makes the release with alias `challenger`, replays it on logged candidates and against the champion, and
evaluates the gates. A first release trains every task; later ones train the fast tasks and reuse the
champion's models of the slow tasks, which `retrain_slow` trains.

### By hand

Start it with `as_of` to read the data as of that instant (empty: now), and with `tasks` to train only some of
them (empty: all that are due; the others come from the champion). A backfill retrains as of the
end of each interval; its release is marked and moves no alias.
"""


def weekly_retrain(contracts: Contracts) -> DAG:
    """Retrain the fast tasks."""
    return retraining(contracts, FAST, cron=contracts.surface.schedule.retrain, runbook=RUNBOOK)


globals().update(for_every_surface(FAST, weekly_retrain))
