"""Modules that must load without libraries that only other parts of the program need."""

import subprocess
import sys

import pytest

from tasks.settings import REPOSITORY

STEPS = "mlflow great_expectations lightgbm sklearn duckdb deltalake pandas matplotlib airflow"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("tasks.ranking.maps", "sklearn scipy pandas matplotlib pydantic"),
        ("tasks.ranking.segmented_map", "sklearn scipy matplotlib pydantic pyarrow.parquet"),
        ("tasks.settings", "pydantic yaml numpy pandas mlflow duckdb"),
        ("tasks.training.outlook", "mlflow lightgbm sklearn scipy great_expectations"),
        ("tasks.stores.releases", "lightgbm sklearn scipy.stats great_expectations"),
        ("tasks.contracts", STEPS),
        ("dags.moment", STEPS),
        ("dags.place", STEPS),
    ],
)
def test_a_module_loads_without_libraries_that_others_need(module: str, heavy: str) -> None:
    code = f"import sys, {module}; print(*set({heavy.split()!r}) & sys.modules.keys())"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert loaded.split() == []
