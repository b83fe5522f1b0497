"""Airflow's API server on sqlite: people who write at the same time are all answered."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.dags.conftest import api_server, log_in

AT_ONCE = 12


@pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient.")
def test_people_who_write_at_the_same_time_are_all_answered(migrated: Path, tmp_path: Path) -> None:
    keys = [f"key_{number}" for number in range(AT_ONCE)]
    with api_server(tmp_path, {"ana": "admin"}) as airflow, ThreadPoolExecutor(AT_ONCE) as people:
        airflow.headers.update(log_in(airflow, "ana"))
        for key in keys:
            airflow.post("/api/v2/variables", json={"key": key, "value": "kept"})
        answers = list(people.map(lambda key: airflow.delete(f"/api/v2/variables/{key}"), keys))
    assert [answer.status_code for answer in answers] == [204] * AT_ONCE
