"""Weekly: retrain the fast tasks and judge the release; the steps are in `dags.retrain_steps`."""

from airflow.sdk import DAG

from dags.retrain_steps import FAST
from dags.retraining import retraining
from dags.surfaces import for_every_surface
from tasks.contracts import Contracts

RUNBOOK = """
### What it does

Waits for the log, plans which tasks to train, builds and checks the labels that it lacks, trains and
calibrates each task, makes the release with alias `challenger`, replays it on logged candidates and beside
the champion, and judges it by the gates. Of a first release it trains every task, after that the fast ones;
the champion lends the slow ones, which `retrain_slow` trains.

### By hand

Start it with `as_of` to look at the world as it was then (empty: now), and with `tasks` to train only
some of them (empty: all that are due; the others come from the champion). A backfill retrains as of the
end of each interval; its release is marked and moves no alias.
"""


def weekly_retrain(contracts: Contracts) -> DAG:
    """Retrain the fast tasks."""
    return retraining(contracts, FAST, cron=contracts.surface.schedule.retrain, runbook=RUNBOOK)


globals().update(for_every_surface(FAST, weekly_retrain))
