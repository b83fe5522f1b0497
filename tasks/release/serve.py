"""Serves a release with MLflow's server behind limits: ``equipoise serve``.

MLflow's server reads bodies of any size, queues any number of calls, returns some errors with a traceback,
reads ``true`` among the numbers of ``instances`` as 1, and opens Parquet that may crash the process. It has
no settings for these, so this application filters each call::

    503   the maximum number of calls is in progress: use another server, or retry in a second
    413   the body is larger than the limit; the rest is not read, even if it comes in chunks
    415   the body is not JSON
    400   the body cannot be read, or is ``instances``
    else  MLflow's response; errors come without ``stack_trace``

``/ready`` returns the served release, ``/metrics`` has counters for Prometheus. Once a minute the alias is
resolved again: a new release is loaded while the old one still serves, and then replaces it. A slate policy
with exposure targets gets the current group boosts.
"""

import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any, Final

import uvicorn
from mlflow.pyfunc import scoring_server
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from tasks.errors import EquipoiseError
from tasks.release.view import load_to_serve
from tasks.stores.workspace import Workspace

_LOG: Final = logging.getLogger("equipoise")
_TRACE: Final = "stack_trace"
_REFRESHED: Final = 60.0
"""Seconds between refreshes of the alias and the group boosts."""
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper bounds of the histogram of call durations in seconds."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Coroutine[Any, Any, None]]


class LimitedServer:
    """An ASGI wrapper around an application that can be replaced while calls are in progress.

    Parameters
    ----------
    application, version : the wrapped application, and the release that it serves.
    max_bytes : maximum bytes of one call.
    max_calls : maximum number of calls in progress.
    """

    def __init__(self, application: Application, version: int, *, max_bytes: int, max_calls: int) -> None:
        self.max_bytes, self.max_calls = max_bytes, max_calls
        self._registry = registry = CollectorRegistry()
        self._answered = Counter(
            "equipoise_calls", "Calls by response status.", ["status"], registry=registry
        )
        self._seconds = Histogram(
            "equipoise_call_seconds", "Seconds of a call.", buckets=_SECONDS, registry=registry
        )
        self._open = Gauge("equipoise_open_calls", "Calls in progress.", registry=registry)
        self._release = Gauge("equipoise_served_release", "The served release.", registry=registry)
        self._calls = 0
        self.exchange(application, version)

    def exchange(self, application: Application, version: int) -> None:
        """Replace the application for all further calls."""
        self._application, self.version = application, version
        self._release.set(version)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a call."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif scope["method"] == "POST":
            await self._answer_counted(scope, receive, send)
        elif scope["path"] == "/metrics":
            await _answer(send, 200, generate_latest(self._registry), CONTENT_TYPE_LATEST.encode())
        elif scope["path"] == "/ready":
            await _answer(send, 200, json.dumps({"release": self.version}).encode(), b"application/json")
        else:
            await self._application(scope, receive, send)

    async def _answer_counted(self, scope: Message, receive: Receive, send: Send) -> None:
        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered.labels(message["status"]).inc()
            await send(message)

        if self._calls >= self.max_calls:
            what = f"{self.max_calls} calls are in progress, the maximum"
            await _refuse(send_counted, 503, what, (b"retry-after", b"1"))
            return
        self._calls += 1
        try:
            with self._open.track_inprogress(), self._seconds.time():
                await self._answer_limited(scope, receive, send_counted)
        finally:
            self._calls -= 1

    async def _answer_limited(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await _read(scope, receive, self.max_bytes)
        if body is None:
            await _refuse(send, 413, f"The body has more than {self.max_bytes} bytes, the most of one call")
        elif not _header(scope, b"content-type").strip().lower().startswith(b"application/json"):
            await _refuse(send, 415, "Send JSON (content-type: application/json)")
        elif problem := _find_problem(body):
            await _refuse(send, 400, problem)
        else:
            waiting: list[Message] = [{"type": "http.request", "body": body}]

            async def receive_again() -> Message:
                return waiting.pop() if waiting else await receive()

            await self._application(scope, receive_again, _without_traces(send))


class ServedRelease:
    """The release of a version or an alias, as MLflow's application."""

    def __init__(self, workspace: Workspace, ref: str) -> None:
        self.workspace, self.ref = workspace, ref
        self._load()

    def _load(self) -> None:
        version = self.workspace.releases.version(self.ref)
        loaded = load_to_serve(self.workspace, version)
        served: Any = loaded.pyfunc.unwrap_python_model()
        served.provenance["release"] = version
        boost = boost_groups(self.workspace, served) if loaded.boosts_groups else lambda: None
        boost()
        self.application, self.version, self._boost = scoring_server.init(loaded.pyfunc), version, boost

    def refresh(self, server: LimitedServer) -> None:
        """Give the server a new release if the alias has moved, else refresh the boosts."""
        before = self.version
        if self.workspace.releases.version(self.ref) == before:
            self._boost()
            return
        self._load()
        server.exchange(self.application, self.version)
        _LOG.info("%s is release %d now, and was %d", self.ref, self.version, before)


def run(workspace: Workspace, *, release: str, host: str, port: int, max_bytes: int, max_calls: int) -> int:
    """Serve a release until the process is stopped; return the last served version."""
    served = ServedRelease(workspace, release)
    server = LimitedServer(served.application, served.version, max_bytes=max_bytes, max_calls=max_calls)
    threading.Thread(target=_repeat, args=(lambda: served.refresh(server),), daemon=True).start()
    _LOG.info("Release %d of %s is served at http://%s:%d", served.version, workspace.surface, host, port)
    uvicorn.run(server, host=host, port=port, log_level="warning")
    return server.version


def boost_groups(workspace: Workspace, served: Any) -> Callable[[], None]:
    """Return a function that updates a served release to the current group boosts."""
    plain = served.scorer

    def refresh() -> None:
        served.scorer = plain.boosted(json.dumps(workspace.aliases.boosts()))

    return refresh


def _repeat(refresh: Callable[[], None]) -> None:
    while True:
        time.sleep(_REFRESHED)
        try:
            refresh()
        except EquipoiseError as error:
            _LOG.warning("The release and its boosts stay as they are. %s", error)


def _header(scope: Message, name: bytes) -> bytes:
    """Return the first value of a header, like MLflow's server."""
    return next((value for known, value in scope["headers"] if known == name), b"")


async def _read(scope: Message, receive: Receive, most: int) -> bytes | None:
    """Read a body; None as soon as it exceeds the limit."""
    length = _header(scope, b"content-length")
    if length.isdigit() and int(length) > most:
        return None
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            return None
    return bytes(body)


def _find_problem(body: bytes) -> str:
    """Return why MLflow would misread a body; empty if it would not."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError) as error:
        return f"The body is not JSON: {error}"
    if isinstance(plain, dict) and "instances" in plain:
        return "'instances' loses the types of values. Send 'dataframe_records' or 'dataframe_split'"
    return ""


def _without_traces(send: Send) -> Send:
    """Buffer an error response until it is complete, and remove its traceback."""
    held: list[Message] = []

    async def send_checked(message: Message) -> None:
        if held or message.get("status", 200) >= 400:
            held.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                body = b"".join(part.get("body", b"") for part in held)
                with suppress(ValueError, AttributeError):
                    plain = json.loads(body)
                    if plain.pop(_TRACE, None):
                        body = json.dumps(plain).encode()
                await _answer(send, held[0]["status"], body, _header(held[0], b"content-type"))
        else:
            await send(message)

    return send_checked


async def _refuse(send: Send, status: int, message: str, *more: tuple[bytes, bytes]) -> None:
    code = "TEMPORARILY_UNAVAILABLE" if status == 503 else "BAD_REQUEST"
    body = json.dumps({"error_code": code, "message": message}).encode()
    await _answer(send, status, body, b"application/json", (b"connection", b"close"), *more)


async def _answer(send: Send, status: int, body: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
