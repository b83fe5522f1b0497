"""`make demo PROFILE=production`: a simulated feed in the object store, one retrain on every production part.

::

    parts up -> world generate -> trigger home_feed__retrain -> follow -> summary -> parts down
"""

import time
from datetime import date, timedelta

from tasks.deploy.demo import heading, parts, retrain, run_command
from tasks.deploy.follow import Lines, spell
from tasks.deploy.layout import Layout
from tasks.deploy.parts import only_one
from tasks.deploy.production import LOGS

SURFACE = "home_feed"
_WORLD = ("--days", "125", "--requests-per-day", "200", "--seed", "7")


def run_demo(layout: Layout) -> None:
    """Run the whole of it; whatever happens, stop what was started here.

    Raises
    ------
    EquipoiseError
        A part or a step failed; the message says which.
    """
    lines, began = Lines(), time.monotonic()
    with only_one(layout):
        heading(lines, 1, "PostgreSQL, Redis, an object store, Airflow on Celery, MLflow with logins")
        with parts(layout, lines, SURFACE) as running:
            heading(lines, 2, "The simulated feed, in the object store")
            retrain(running, lines, SURFACE, as_of=_generate(running, lines))
    lines.say(
        "\nOpen next:\n"
        "  make up PROFILE=production   the same parts with this run and its release; prints the logins"
    )
    lines.say(f"\nThe demo took {spell(time.monotonic() - began)}.")


def _generate(layout: Layout, lines: Lines) -> str:
    """Put the log tables into the object store; return the midnight after their last day."""
    made = run_command(layout, "world", "generate", *_WORLD, "--out", f"{LOGS}/{SURFACE}")
    lines.say(
        f"generated: {made['impressions']:,} impressions in {made['requests']:,} requests, "
        f"{made['events']:,} events: {made['out']}"
    )
    return f"{date.fromisoformat(made['last_day']) + timedelta(days=1)}T00:00:00Z"
