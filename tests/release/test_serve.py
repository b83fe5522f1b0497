"""`equipoise serve` lets MLflow's server see JSON within the limit alone, and its callers no traceback."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tasks.cli import main
from tasks.release.serve import Application, LimitedServer, ServedRelease
from tasks.stores.audit import Entry, Kind
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.feeds.toy_release import NAME, a_frame, register_toy
from tests.stores.mlflow_home import new_home

LIMIT = 10_000
ROWS = json.loads(json.dumps(a_frame(requests=1).to_dict("records")))


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    """What `equipoise serve` hands to uvicorn, of a release that the audit made champion."""
    folder, given = tmp_path_factory.mktemp("limited"), list[Any]()
    home = new_home(folder / "home")
    part = register_toy(home)
    Store.open(home).aliases(NAME).add(lambda *_: Entry(Kind.PROMOTE, "ana", part.version, None, "the first"))
    (folder / "surfaces" / NAME).mkdir(parents=True)
    (folder / "surfaces" / NAME / "surface.yaml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_REQUIRE_VERIFIED", "1")
        patch.setattr("uvicorn.run", lambda served, **how: given.append((served, how)))
        words = ["serve", NAME, "--home", str(home), "--surfaces", str(folder / "surfaces")]
        assert main([*words, "--port", "5001", "--max-bytes", str(LIMIT)]) == 0
    ((served, how),) = given
    assert (how["host"], how["port"]) == ("127.0.0.1", 5001)
    server: Application = served
    return server


def ask(
    application: Application,
    body: bytes | Iterator[bytes],
    *,
    kind: str = "application/json",
    length: str = "",
) -> tuple[int, str]:
    """Post a body, whole or in chunks; return status and text of the answer."""
    chunks, sent = iter([body]) if isinstance(body, bytes) else body, list[Any]()
    headers = [(b"content-type", kind.encode()), *([(b"content-length", length.encode())] if length else [])]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "raw_path": b"/invocations"}
    scope |= {"headers": headers, "query_string": b"", "root_path": "", "http_version": "1.1"}
    ended: list[bool] = []

    async def receive() -> dict[str, Any]:
        if ended:
            await asyncio.sleep(60)
        if (chunk := next(chunks, None)) is None:
            ended.append(True)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(application({**scope}, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()


def limited(application: Application, *, version: int = 1, max_calls: int = 2) -> LimitedServer:
    return LimitedServer(application, version, max_bytes=LIMIT, max_calls=max_calls)


def read(application: Application, path: str) -> str:
    sent = list[Any]()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    asyncio.run(application({"type": "http", "method": "GET", "path": path}, receive, send))
    assert sent[0]["status"] == 200
    return str(sent[1]["body"].decode())


def records(**change: object) -> bytes:
    return json.dumps({"dataframe_records": [ROWS[0] | change, *ROWS[1:]]}).encode()


def test_candidates_are_scored_by_the_release_also_in_chunks(application: Application) -> None:
    body = records()
    for sent in (body, (body[start : start + 7] for start in range(0, len(body), 7))):
        status, text = ask(application, sent)
        assert status == 200, text
        assert [row["release"] for row in json.loads(text)["predictions"]] == [1] * len(ROWS)


def test_a_body_beyond_the_limit_is_refused_and_not_read_to_its_end(application: Application) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(LIMIT // 1_000 + 1):
            yield b" " * 1_000
        raise AssertionError("it was read further")

    for body, length in ((endless(), ""), (iter(()), str(LIMIT + 1)), (b" " * (LIMIT + 1), "1")):
        status, text = ask(application, body, length=length)
        assert (status, "more than 10000 bytes" in text) == (413, True)


@pytest.mark.parametrize("kind", ["text/csv", "application/vnd.apache.parquet", "", "application/x-json"])
def test_anything_but_json_is_refused(application: Application, kind: str) -> None:
    assert ask(application, b"a,b\n1,2\n", kind=kind)[0] == 415


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps({"instances": [ROWS[0] | {"price": True}, ROWS[1]]}).encode(), "'instances' loses"),
        (b"[" * 9_000, "not JSON"),
        (records(price=7.25).replace(b"7.25", b"1" * 5_000), "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (records(price=10**400), "Column 'price' holds a number beyond those of a float"),
        (records(price="3.5"), "the feature encoder needs numbers"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', "not a valid dataframe"),
    ],
)
def test_a_call_that_cannot_be_read_is_a_400_without_a_traceback(
    application: Application, body: bytes, said: str
) -> None:
    status, text = ask(application, body)
    assert (status, said in text) == (400, True), text
    assert "Traceback" not in text


def test_a_category_of_any_size_is_a_value_that_nobody_saw(application: Application) -> None:
    assert ask(application, records(source=10**400))[0] == 200


def test_an_answer_of_mlflow_loses_its_traceback_and_keeps_the_rest() -> None:
    async def failing(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 400, "headers": []})
        for part in (b'{"message": "m", "stack_', b'trace": "Traceback ..."}'):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    assert ask(limited(failing), b"{}") == (400, '{"message": "m"}')


def test_more_calls_than_are_allowed_are_refused_at_once_and_counted() -> None:
    statuses = list[int]()

    async def play() -> None:
        opened, release = asyncio.Semaphore(0), asyncio.Event()

        async def slow(_: Any, receive: Any, send: Any) -> None:
            await receive()
            opened.release()
            await release.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        server = limited(slow)

        async def call() -> None:
            async def receive() -> Any:
                return {"type": "http.request", "body": b"{}"}

            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            headers = [(b"content-type", b"application/json")]
            await server({"type": "http", "method": "POST", "headers": headers}, receive, send)

        both = [asyncio.create_task(call()) for _ in range(2)]
        for _ in both:
            await opened.acquire()
        await call()
        assert statuses == [503]
        release.set()
        await asyncio.gather(*both)
        await call()
        assert statuses == [503, 200, 200, 200]
        counts.append(await asyncio.to_thread(read, server, "/metrics"))

    counts = list[str]()
    asyncio.run(play())
    lines = counts[0].splitlines()
    assert {'equipoise_calls_total{status="200"} 3.0', 'equipoise_calls_total{status="503"} 1.0'} <= {*lines}
    assert "equipoise_call_seconds_count 3.0" in lines
    assert "equipoise_open_calls 0.0" in lines


def test_another_champion_takes_over_while_calls_are_answered(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    workspace = Workspace.open(NAME, surfaces=tmp_path, home=home)
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "surface.yaml").touch()

    def promote(**utility: Any) -> int:
        part = register_toy(home, **utility)
        aliases = Store.open(home).aliases(NAME)
        aliases.add(lambda *_: Entry(Kind.PROMOTE, "ana", part.version, None, "it is better"))
        return part.version

    promote()
    served = ServedRelease(workspace, "champion")
    server = limited(served.application, version=served.version, max_calls=8)
    answers, ended = list[tuple[int, int]](), threading.Event()

    def call_again() -> None:
        while not ended.is_set():
            status, text = ask(server, records())
            answers.append((status, json.loads(text)["predictions"][0]["release"]))

    with ThreadPoolExecutor(3) as callers:
        calls = [callers.submit(call_again) for _ in range(3)]
        served.refresh(server)
        assert json.loads(read(server, "/ready")) == {"release": 1}
        assert promote(version=2) == 2
        served.refresh(server)
        began = len(answers)
        while len(answers) < began + 6:
            time.sleep(0.01)
        ended.set()
        for one in calls:
            one.result()
    assert {status for status, _ in answers} == {200}
    assert {release for _, release in answers} == {1, 2}
    assert {release for _, release in answers[-3:]} == {2}
    assert "equipoise_served_release 2.0" in read(server, "/metrics")
