import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.dags.conftest import REPOSITORY

HEAVY = {"mlflow", "great_expectations", "lightgbm", "sklearn", "duckdb", "deltalake", "pandas", "matplotlib"}
SCRIPT = """
import json, sys, time
began = time.process_time()
import airflow.sdk
from airflow.sdk import DAG, Param
imported = time.process_time()
before = set(sys.modules)
import dags.labels, dags.retrain, dags.retrain_slow
parsed = time.process_time()
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"import": imported - began, "parse": parsed - imported, "new": sorted(new)}))
"""


def test_parsing_is_light_beside_importing_airflow(
    surfaces: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "AIRFLOW_HOME": str(tmp_path),
        "EQUIPOISE_SURFACES": str(surfaces),
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    measured = json.loads(done.stdout.splitlines()[-1])
    assert not HEAVY & set(measured["new"])
    record_property("parse_over_import", measured["parse"] / measured["import"])
    assert measured["parse"] < measured["import"]  # about .1; half a second stands against four or so
