"""Libraries of the steps that a worker of Airflow loads once, before it forks.

::

    scheduler or Celery worker   loads LIBRARIES       executor.py, celery_options.py
      worker                     forked
        step                     forked: what it imports is there already

A step is a process of its own, and importing these takes seconds. The project's own modules are left out,
except one that loads a library: each step imports them anew, so a change of code needs no restart.
MLflow compares a model's requirements with the installed packages, which it lists once a process: the list is
made here too.
"""

import logging
from contextlib import suppress
from importlib import import_module
from typing import Final

LIBRARIES: Final = (
    "pandas",
    "pyarrow.dataset",
    "duckdb",
    "sqlglot",
    "lightgbm",
    "mlflow.lightgbm",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "sklearn.isotonic",
    "scipy.stats",
    "tasks.validation",  # the package's own file alone, which loads Great Expectations without pyspark
    "jinja2",
)
"""Loading them starts no thread of Python's, which a fork would lose."""


def preload() -> None:
    """Load the libraries; one that fails to load is left to the step that needs it."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            logging.getLogger("equipoise").warning("%s cannot be loaded ahead of the steps", name)
    with suppress(ImportError):
        requirements = import_module("mlflow.utils.requirements_utils")
        requirements.warn_dependency_requirement_mismatches(["mlflow"])
