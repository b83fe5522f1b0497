"""Equipoise's pages in Airflow: the state of every surface, behind Airflow's login.

::

    equipoise/                                  every surface that this user may see, and what waits
    equipoise/<surface>                         releases, verdicts, labels by day, the last rows of the audit
    equipoise/<surface>/releases/<n>/dossier    the dossier, sealed off from the rest of Airflow
    equipoise/<surface>/monitor                 the series, likewise

Only the api-server builds the application, at the first request: every other part loads plugins, too. What is
shown comes from the stores through `tasks`; a store that is slow or dead gives a page that says so.
"""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import quote

from dags.place import open_workspace, surfaces_folder
from tasks.errors import ContractError, EquipoiseError, StoreError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request

    from tasks.promotion.pages.overview_page import Card, PendingApproval
    from tasks.stores.workspace import Workspace

T = TypeVar("T")
PREFIX: Final = "/equipoise"
PATIENCE: Final = 20.0
"""Seconds after which a page says that the stores do not answer."""
_LOG: Final = logging.getLogger("equipoise")
_READERS: Final = ThreadPoolExecutor(4, thread_name_prefix="equipoise-overview")
_PAGE: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_DOSSIER: Final = (
    "sandbox allow-scripts allow-popups allow-downloads; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'"
)
"""A dossier's scripts run in an origin of their own: without Airflow's cookie, and without any request."""


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer as an ASGI application that is built at its first request."""
    await application()(scope, receive, send)


@cache
def application() -> "FastAPI":
    """Build the application."""
    from airflow.api_fastapi.common.db.common import SessionDep
    from airflow.api_fastapi.core_api.security import GetUserDep
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse, Response

    app = FastAPI(title="Equipoise", openapi_url=None)

    def readable(user: GetUserDep, session: SessionDep) -> dict[str, str]:
        return _readable_surfaces(user, session)

    Readable = Annotated[dict[str, str], Depends(readable)]  # noqa: N806 - a type

    @app.get("/")
    def index(surfaces: Readable, user: GetUserDep, session: SessionDep) -> Response:
        from tasks.promotion.pages import overview_page

        asked = {name: _questions(name, user, session) for name in surfaces}
        return HTMLResponse(overview_page.write_index(_cards(asked), now=datetime.now(UTC)))

    @app.get("/{surface}")
    def surface(surface: str, surfaces: Readable, user: GetUserDep, session: SessionDep) -> Response:
        workspace, now = _open(surface, surfaces), datetime.now(UTC)
        from tasks.promotion import overview
        from tasks.promotion.pages import overview_page

        (read,) = _ask(overview.read, [workspace])
        questions = _questions(surface, user, session)
        return HTMLResponse(overview_page.write_surface(_result(read), questions, now=now))

    @app.get("/{surface}/releases/{release}/dossier")
    def dossier(surface: str, release: int, surfaces: Readable) -> Response:
        workspace = _open(surface, surfaces)
        from tasks.promotion import overview

        (page,) = _ask(lambda one: overview.dossier(one, release=release), [workspace])
        return HTMLResponse(_result(page), headers={"Content-Security-Policy": _DOSSIER})

    @app.get("/{surface}/monitor")
    def monitor(surface: str, surfaces: Readable) -> Response:
        workspace = _open(surface, surfaces)
        from tasks.monitoring.monitor import read_page

        (page,) = _ask(read_page, [workspace])
        return HTMLResponse(_result(page), headers={"Content-Security-Policy": _DOSSIER})

    _answer_errors(app)
    return app


def _answer_errors(app: "FastAPI") -> None:
    """Answer errors with a page, and give every answer the headers that keep it to itself."""
    from fastapi import HTTPException, Request
    from fastapi.responses import HTMLResponse, RedirectResponse, Response

    @app.exception_handler(HTTPException)
    def refuse(request: Request, error: HTTPException) -> Response:
        if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_login(request), status_code=303)
        return HTMLResponse(_problem(str(error.detail)), status_code=error.status_code)

    @app.exception_handler(EquipoiseError)
    def explain(request: Request, error: EquipoiseError) -> Response:
        code = 404 if isinstance(error, ContractError) else 503
        return HTMLResponse(_problem(str(error)), status_code=code)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[..., Any]) -> Response:
        answer: Response = await call_next(request)
        answer.headers.setdefault("Content-Security-Policy", f"{_PAGE}; frame-ancestors 'self'")
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Referrer-Policy"] = "same-origin"
        answer.headers["Cache-Control"] = "no-store"
        return answer


def dag_of(surface: str, workflow: str) -> str:
    """Return the id of a surface's DAG, also of one whose contracts cannot be read.

    Examples
    --------
    >>> dag_of("home_feed", "promote"), dag_of("home feed", "promote")
    ('home_feed__promote', 'home_feed__promote')
    """
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', surface)}__{workflow}"


def _readable_surfaces(user: Any, session: Any) -> dict[str, str]:
    """Return the surfaces whose promotions this user may see, each with the id of that DAG."""
    from airflow.api_fastapi.app import get_auth_manager

    from tasks.contracts import surface_names

    known = get_auth_manager().get_authorized_dag_ids(user=user, session=session)
    dags = {name: dag_of(name, "promote") for name in surface_names(surfaces_folder())}
    return {name: dag for name, dag in dags.items() if dag in known}


def _questions(surface: str, user: Any, session: Any) -> "list[PendingApproval]":
    """Return the approvals of a surface that wait, oldest first; none where this user may not see them."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    from tasks.promotion.pages.overview_page import PendingApproval

    dag = dag_of(surface, "promote")
    details, entity = DagDetails(id=dag), DagAccessEntity.HITL_DETAIL
    if not get_auth_manager().is_authorized_dag(
        method="GET", access_entity=entity, details=details, user=user
    ):
        return []
    waiting = (
        select(HITLDetail)
        .join(TaskInstance, TaskInstance.id == HITLDetail.ti_id)
        .where(TaskInstance.dag_id == dag, TaskInstance.state == "awaiting_input")
        .where(HITLDetail.responded_at.is_(None))
        .order_by(HITLDetail.created_at)
    )
    return [
        PendingApproval(
            subject=one.subject,
            since=one.created_at,
            reviewers=tuple(reviewer["name"] for reviewer in one.assigned_users),
            address=f"../{_step_page(one.task_instance)}/required_actions",
        )
        for one in session.scalars(waiting)
    ]


def _step_page(step: Any) -> str:
    return "/".join(("dags", step.dag_id, "runs", quote(step.run_id, safe=""), "tasks", step.task_id))


def _cards(asked: "dict[str, list[PendingApproval]]") -> "list[Card]":
    from tasks.promotion import overview
    from tasks.promotion.pages.overview_page import Card

    reads = _ask(overview.read_aliases, map(open_workspace, asked))
    cards = []
    for (name, questions), read in zip(asked.items(), reads, strict=True):
        try:
            cards.append(Card(name, _result(read), questions=tuple(questions)))
        except EquipoiseError as error:
            cards.append(Card(name, None, str(error), tuple(questions)))
    return cards


def _ask(read: "Callable[[Workspace], T]", workspaces: "Iterable[Workspace]") -> Sequence[Future[T]]:
    """Read all at once; who has not answered in time goes on alone, and its page says so."""
    reads = [_READERS.submit(read, workspace) for workspace in workspaces]
    wait(reads, timeout=PATIENCE)
    return reads


def _result(read: Future[T]) -> T:
    """Return what was read.

    Raises
    ------
    EquipoiseError
        It was not there in time, or why it cannot be read; of what nobody foresaw the log says more.
    """
    if not read.done():
        read.cancel()
        raise StoreError(
            f"The stores did not answer within {PATIENCE:.0f} s. Check MLflow, then reload the page"
        )
    try:
        return read.result()
    except EquipoiseError:
        raise
    except Exception as error:
        _LOG.exception("A page of Equipoise cannot be shown")
        raise StoreError(f"{type(error).__name__}: see the log of the api-server") from error


def _open(surface: str, readable: Iterable[str]) -> "Workspace":
    if surface not in readable:
        raise ContractError(f"There is no surface '{surface}' that you may see")
    return open_workspace(surface)


def _login(request: "Request") -> str:
    """Return Airflow's login, which leads back to the page that was asked for."""
    root = str(request.scope.get("root_path", "")).removesuffix(PREFIX)
    return f"{root}/api/v2/auth/login?next={quote(request.url.path, safe='')}"


def _problem(words: str) -> str:
    from tasks.promotion.pages.overview_page import write_problem

    return write_problem("Equipoise", words, now=datetime.now(UTC))
