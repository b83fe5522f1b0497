"""Airflow's API server on sqlite: people who write at the same time are all answered."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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


def test_a_request_that_is_never_sent_whole_holds_nobody_up(airflow_home: Path) -> None:
    from dags.plugins.one_writer import OneWriter

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await send(await receive())

    async def write() -> Any:
        never, whole, sent = (asyncio.Queue[Any]() for _ in range(3))
        whole.put_nowait({"body": b"whole"})
        writer, request = OneWriter(echo), {"type": "http", "method": "POST"}
        first = asyncio.create_task(writer(request, never.get, sent.put))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(writer(request, whole.get, sent.put), 5)
        return first.done(), sent.get_nowait()

    assert asyncio.run(write()) == (False, {"body": b"whole"})
