"""Messages about a surface's events, sent to the Airflow connections that `notify` in surface.yaml names.

::

    approval_waits    a promotion waits for a reviewer's approval, or a ramp for a person
    run_fails         a run of one of the surface's DAGs failed
    release_held      the gates hold a release
    alias_moves       champion or canary moved
    drift_alarms      the monitor raised alarms

A connection is an HTTP address or a mail server. A message that cannot be sent is logged and fails no step.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from airflow.sdk import BaseHook, BaseNotifier, Connection, Context, get_current_context
from airflow.sdk.configuration import conf

from tasks.contracts import Contracts

Event = str
_LOG: Final = logging.getLogger("equipoise")
_SECONDS: Final = 10


@dataclass(frozen=True)
class Message:
    """What happened, in one line, and details with a link."""

    subject: str
    details: str


class ConnectionNotifier(BaseNotifier):
    """Send one message to each connection.

    Parameters
    ----------
    connections : ids of Airflow connections, of type `http`, `https` or `smtp`.
    compose : writes the message from the context of the event.
    """

    def __init__(self, connections: Sequence[str], compose: Callable[[Context], Message]) -> None:
        super().__init__()
        self.connections, self.compose = tuple(connections), compose

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render nothing: a message holds words of people, which are no template."""

    def notify(self, context: Context) -> None:
        """Send the message; log what cannot be sent."""
        for name in self.connections:
            try:
                _send(BaseHook.get_connection(name), self.compose(context))
            except Exception as error:  # noqa: BLE001 - a message that is not sent must not fail the step
                _LOG.warning("The message to connection '%s' was not sent: %s", name, _describe(error))


def notify(connections: Sequence[str], message: Message) -> None:
    """Send a message to each connection, in a running step."""
    ConnectionNotifier(connections, lambda _: message)(get_current_context())


def on_failure(contracts: Contracts) -> list[ConnectionNotifier]:
    """Return the notifiers of a failed run; none where the surface names no connection."""
    connections = contracts.surface.notify.run_fails
    return [ConnectionNotifier(connections, _say_failed)] if connections else []


def run_page(dag_id: str, run_id: str, task_id: str | None = None) -> str:
    """Return the address of a run in Airflow, or of one of its steps.

    Examples
    --------
    >>> run_page("feed__promote", "manual__1+2", "approve_product").partition("/dags/")[2]
    'feed__promote/runs/manual__1%2B2/tasks/approve_product'
    """
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    page = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return f"{page}/tasks/{quote(task_id, safe='')}" if task_id else page


def _say_failed(context: Context) -> Message:
    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    why = str(context.get("reason", "")).replace("_", " ")
    return Message(f"{dag_id} failed", f"{why}; the run's note names the step: {run_page(dag_id, run_id)}")


class _UnknownTypeError(ValueError):
    """A connection of a type that no message can be sent to."""


def _send(connection: Connection, message: Message) -> None:
    match connection.conn_type:
        case "http" | "https":
            _post(connection, f"{message.subject}\n{message.details}")
        case "smtp":
            _mail(connection, message)
        case other:
            raise _UnknownTypeError(f"its type is '{other}'. Use http, https or smtp")


def _describe(error: Exception) -> str:
    """Name an error without its text, which may hold an address with a secret path."""
    if isinstance(error, _UnknownTypeError):
        return str(error)
    response = getattr(error, "response", None)
    return type(error).__name__ if response is None else f"status {response.status_code}"


def _post(connection: Connection, text: str) -> None:
    """Post the text as JSON, in the form that the webhooks of chats read.

    The path of the address may stand in the extra field `path`, which Airflow keeps encrypted. A password
    alone is sent as a bearer token, one with a login as basic authentication.
    """
    import requests

    host, extra = str(connection.host), connection.extra_dejson
    address = host if "://" in host else f"{connection.schema or connection.conn_type}://{host}"
    address = f"{address}:{connection.port}" if connection.port else address
    path = str(extra.get("path", "")).lstrip("/")
    login = (connection.login, connection.password or "") if connection.login else None
    bearer = {"Authorization": f"Bearer {connection.password}"} if connection.password and not login else {}
    answer = requests.post(
        f"{address.rstrip('/')}/{path}" if path else address,
        json={"text": text},
        headers=bearer,
        auth=login,
        timeout=_SECONDS,
        allow_redirects=False,
    )
    answer.raise_for_status()


def _mail(connection: Connection, message: Message) -> None:
    """Mail the text to the addresses in the extra field `to`, from the one in `from_email`."""
    from html import escape

    from airflow.providers.smtp.hooks.smtp import SmtpHook

    to: Any = connection.extra_dejson["to"]
    with SmtpHook(smtp_conn_id=connection.conn_id) as hook:
        hook.send_email_smtp(to=to, subject=message.subject, html_content=f"<p>{escape(message.details)}</p>")
