"""MLflow's server of a release behind limits: ``equipoise serve``.

MLflow's server reads a body of any size, answers some errors with a traceback, reads ``true`` among the
numbers of ``instances`` as 1, and opens Parquet that may end the process. It has no settings for these, so
each call passes here::

    413   the body is larger than the limit; it is not read further, also where it comes in chunks
    415   the body is not JSON
    400   the body cannot be read, or is ``instances``
    else  MLflow's answer, an error without its ``stack_trace``

A release whose slate policy aims at exposure ranks with the boosts of groups in force, read once a minute.
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

from tasks.errors import EquipoiseError
from tasks.release.view import load_to_serve
from tasks.stores.releases import resolve_release
from tasks.stores.workspace import Workspace

_LOG: Final = logging.getLogger("equipoise")
_TRACE: Final = "stack_trace"
_REFRESHED: Final = 60.0
"""Seconds after which the boosts of groups are read anew."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Coroutine[Any, Any, None]]


def limit_calls(application: Application, *, max_bytes: int) -> Application:
    """Return an ASGI application that answers JSON of at most ``max_bytes`` bytes, without tracebacks."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await application(scope, receive, send)
            return
        body = await _read(scope, receive, max_bytes)
        if body is None:
            await _refuse(send, 413, f"The body has more than {max_bytes} bytes, the most of one call")
        elif not _header(scope, b"content-type").strip().lower().startswith(b"application/json"):
            await _refuse(send, 415, "Send JSON (content-type: application/json)")
        elif problem := _find_problem(body):
            await _refuse(send, 400, problem)
        else:
            waiting: list[Message] = [{"type": "http.request", "body": body}]

            async def receive_again() -> Message:
                return waiting.pop() if waiting else await receive()

            await application(scope, receive_again, _without_traces(send))

    return answer


def run(workspace: Workspace, *, release: str, host: str, port: int, max_bytes: int) -> int:
    """Serve a release until the process is stopped; return its version."""
    version = resolve_release(workspace, release)
    loaded = load_to_serve(workspace, version)
    model = loaded.pyfunc
    served: Any = model.unwrap_python_model()
    served.provenance["release"] = version
    if loaded.boosts_groups:
        refresh = boost_groups(workspace, served)
        refresh()
        threading.Thread(target=_repeat, args=(refresh,), daemon=True).start()
    application = scoring_server.init(model)
    _LOG.info("Release %d of %s is served at http://%s:%d", version, workspace.surface, host, port)
    limited = limit_calls(application, max_bytes=max_bytes)
    uvicorn.run(limited, host=host, port=port, log_level="warning")
    return version


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
            _LOG.warning("The boosts of exposure stay as they are. %s", error)


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


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error_code": "BAD_REQUEST", "message": message}).encode()
    await _answer(send, status, body, b"application/json", (b"connection", b"close"))


async def _answer(send: Send, status: int, body: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
