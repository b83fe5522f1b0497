"""Libraries and modules of the steps that a worker of Airflow loads once, before it forks.

::

    scheduler or Celery worker   loads MODULES         scheduler.py, celery_options.py
      worker                     forked
        step                     forked: what it imports is there already

A step is a process of its own, and importing these takes seconds. A step that begins after a change of the
code forgets the project's modules and imports them anew, so no restart is needed. MLflow compares a model's
requirements with the installed packages, which it lists once a process: the list is made here too.
"""

import logging
import os
import sys
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Final

MODULES: Final = (
    "pandas",
    "pyarrow.dataset",
    "duckdb",
    "deltalake",
    "git",
    "optuna",
    "sqlglot.dialects.duckdb",
    "lightgbm",
    "mlflow.lightgbm",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "sklearn.isotonic",
    "scipy.stats",
    "jinja2",
    "tasks.labels.build",
    "tasks.validation.step",
    "tasks.training.plan",
    "tasks.calibration.step",
    "tasks.promotion.moves.promote",
    "tasks.promotion.moves.request",
)
"""Loading them starts no thread of Python's, which a fork would lose."""
_CODE: Final = Path(__file__).parents[1] / "tasks"
_FORKS: Final = count(1)
_STEP: Final = 2
"""The fork that makes a step; processes that a step forks keep its modules."""


def preload() -> None:
    """Load the modules; one that fails to load is left to the step that needs it."""
    for name in MODULES:
        try:
            import_module(name)
        except ImportError:
            logging.getLogger("equipoise").warning("%s cannot be loaded ahead of the steps", name)
    with suppress(ImportError):
        requirements = import_module("mlflow.utils.requirements_utils")
        requirements.warn_dependency_requirement_mismatches(["mlflow"])
    os.register_at_fork(after_in_child=partial(_begin, _stamps()))


def _begin(loaded: frozenset[tuple[str, int]]) -> None:
    if next(_FORKS) == _STEP and _stamps() != loaded:
        for name in [name for name in sys.modules if name == "tasks" or name.startswith("tasks.")]:
            del sys.modules[name]


def _stamps() -> frozenset[tuple[str, int]]:
    """Return the project's modules, each with the time of its last change; nothing while one is removed."""
    with suppress(FileNotFoundError):
        return frozenset((str(file), file.stat().st_mtime_ns) for file in _CODE.rglob("*.py"))
    return frozenset()
