"""Airflow's scheduler on one machine, whose workers hold the steps' modules: ``python -m dags.scheduler``.

It takes the options of ``airflow scheduler``. The modules are loaded before the scheduler announces itself:
if it loaded them later, it would miss heartbeats on a busy machine and take itself for dead.

The scheduler ends with an error when its database refuses a statement, as sqlite does when another process
writes at the same moment. It is then started again in the same process, with the same options.
"""

import logging
import os
import sys
import time
from typing import Final

from dags.preload import preload

_STARTED: Final = 60.0
"""Seconds after which an error is one of a running scheduler: one that fails earlier ends."""


def run() -> None:
    """Load the modules, and run the scheduler."""
    preload()
    from airflow.__main__ import main
    from sqlalchemy.exc import SQLAlchemyError

    options = sys.argv[1:]
    sys.argv = ["airflow", "scheduler", *options]
    began = time.monotonic()
    try:
        main()
    except SQLAlchemyError:
        if time.monotonic() - began < _STARTED:
            raise
        logging.getLogger("equipoise").exception("The database refused a statement; starting again")
        again = [sys.executable, "-m", "dags.scheduler", *options]
        os.execv(sys.executable, again)  # noqa: S606 - no shell


if __name__ == "__main__":
    run()
