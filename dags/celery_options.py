"""Celery's settings in production: Airflow's own, and the steps' modules loaded before workers fork.

``AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS`` is ``dags.celery_options.OPTIONS`` where they are used;
nothing else imports this file, nor Celery's provider.
"""

from typing import Any, Final

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
from celery.signals import worker_init

from dags.preload import preload

OPTIONS: Final[dict[str, Any]] = DEFAULT_CELERY_CONFIG


@worker_init.connect
def load(**_: Any) -> None:
    """Load the modules in a worker, whose processes are forked from it."""
    preload()
