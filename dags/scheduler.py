"""Airflow's scheduler on one machine, whose workers hold the steps' modules: ``python -m dags.scheduler``.

It takes the options of ``airflow scheduler``. The modules are loaded before the scheduler announces itself:
if it loaded them later, it would miss heartbeats on a busy machine and take itself for dead.
"""

import sys

from dags.preload import preload


def run() -> None:
    """Load the modules, and run the scheduler."""
    preload()
    from airflow.__main__ import main

    sys.argv = ["airflow", "scheduler", *sys.argv[1:]]
    main()


if __name__ == "__main__":
    run()
