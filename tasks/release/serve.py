"""MLflow's server of a release behind limits: ``equipoise serve``.

MLflow's server reads a body of any size, lets any number of calls wait, answers some errors with a traceback,
reads ``true`` among the numbers of ``instances`` as 1, and opens Parquet that may end the process. It has no
settings for these, so each call passes here::

    503   as many calls as are allowed are being answered: ask another server, or again in a second
    413   the body is larger than the limit; it is not read further, also where it comes in chunks
    415   the body is not JSON
    400   the body cannot be read, or is ``instances``
    else  MLflow's answer, an error without its ``stack_trace``

``/ready`` names the release that answers, ``/metrics`` counts for Prometheus. Once a minute an alias is read
anew: another release is loaded while the old one answers, and takes the calls from then on. A slate policy
that aims at exposure gets the boosts of groups in force.
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
"""Seconds after which an alias and the boosts of groups are read anew."""
_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper ends of the histogram of a call's seconds."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Coroutine[Any, Any, None]]


class LimitedServer:
    """An ASGI application before another one, which may be exchanged while calls are answered.

    Parameters
    ----------
    application, version : what answers, and the release that it serves.
    max_bytes : the most bytes of one call.
    max_calls : the most calls that are answered at a time.
    """

    def __init__(self, application: Application, version: int, *, max_bytes: int, max_calls: int) -> None:
        self.max_bytes, self.max_calls = max_bytes, max_calls
        self._registry = registry = CollectorRegistry()
        self._answered = Counter(
            "equipoise_calls", "Calls by the status of the answer.", ["status"], registry=registry
        )
        self._seconds = Histogram(
            "equipoise_call_seconds", "Seconds of a call.", buckets=_SECONDS, registry=registry
        )
        self._open = Gauge("equipoise_open_calls", "Calls that are being answered.", registry=registry)
        self._release = Gauge("equipoise_served_release", "The release that answers.", registry=registry)
        self._calls = 0
        self.exchange(application, version)

    def exchange(self, application: Application, version: int) -> None:
        """Let another application answer the calls that come from now on."""
        self._application, self.version = application, version
        self._release.set(version)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a call."""
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
            what = f"{self.max_calls} calls are being answered, the most at a time"
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
    """The release that a version or an alias names, as MLflow's application."""

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
        """Hand another release to the server where the alias names one, else refresh the boosts."""
        before = self.version
        if self.workspace.releases.version(self.ref) == before:
            self._boost()
            return
        self._load()
        server.exchange(self.application, self.version)
        _LOG.info("%s is release %d now, and was %d", self.ref, self.version, before)


def run(workspace: Workspace, *, release: str, host: str, port: int, max_bytes: int, max_calls: int) -> int:
    """Serve a release until the process is stopped; return the version that was served last."""
    served = ServedRelease(workspace, release)
    server = LimitedServer(served.application, served.version, max_bytes=max_bytes, max_calls=max_calls)
    threading.Thread(target=_repeat, args=(lambda: served.refresh(server),), daemon=True).start()
    _LOG.info("Release %d of %s is served at http://%s:%d", served.version, workspace.surface, host, port)
    uvicorn.run(server, host=host, port=port, log_level="warning")
    return server.version


def boost_groups(workspace: Workspace, served: Any) -> Callable[[], None]:
    """Return what lets a served release rank with the boosts that are in force when it is called."""
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
    """Return a header's first value, which MLflow's server takes too."""
    return next((value for known, value in scope["headers"] if known == name), b"")


async def _read(scope: Message, receive: Receive, most: int) -> bytes | None:
    """Read a body; None as soon as it is known to be larger."""
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
    """Return why MLflow cannot read a body as it was meant; empty where it can."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError) as error:
        return f"The body is not JSON: {error}"
    if isinstance(plain, dict) and "instances" in plain:
        return "'instances' loses the types of values. Send 'dataframe_records' or 'dataframe_split'"
    return ""


def _without_traces(send: Send) -> Send:
    """Hold back an answer that is an error until it is whole, and leave its traceback out."""
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
