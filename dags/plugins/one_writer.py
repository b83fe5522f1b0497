"""Has Airflow's API server answer one writing request at a time where its database is sqlite.

The API server commits its audit log in the thread of its event loop. If another request has written by then,
the commit waits for that request's lock, while that request waits for the loop to commit: no request is
answered until sqlite gives up. Reading requests hold no lock that a commit waits for, and PostgreSQL locks
rows, so both are left alone.

Source: https://airflow.apache.org/docs/apache-airflow/stable/administration-and-deployment/plugins.html
"""

import asyncio
from typing import Any, ClassVar

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class OneWriter:
    """Middleware in which a writing request, once received whole, waits until the previous one has ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        parts = [await receive()]
        while parts[-1].get("more_body"):
            parts.append(await receive())

        async def receive_again() -> Message:
            return parts.pop(0) if parts else await receive()

        async with self._turn:
            await self._app(scope, receive_again, send)


class EquipoiseOneWriter(AirflowPlugin):
    """The middleware, where the database is sqlite."""

    name = "equipoise_one_writer"
    fastapi_root_middlewares: ClassVar[list[Any]] = (
        [{"name": "One writing request at a time", "middleware": OneWriter}]
        if conf.get_mandatory_value("database", "sql_alchemy_conn").startswith("sqlite")
        else []
    )
