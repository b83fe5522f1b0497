"""Messages about events of a surface, received by a real HTTP server."""

import json
import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.dags.conftest import Ended, Start, parse, steps_of, write_surface

SECRET = "T0-very-secret"  # noqa: S105 - of a server that lives for one test
EVENTS = ("approval_waits", "run_fails", "release_held", "alias_moves", "drift_alarms")
NOTIFY = "notify: {" + ", ".join(f"{event}: [chat]" for event in EVENTS) + "}"


class Chat(HTTPServer):
    """A server that keeps what it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Received)
        self.received: list[tuple[str, str | None, str]] = []
        self.status = 200


class _Received(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Chat)
        self.server.received.append((self.path, self.headers.get("Authorization"), body["text"]))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """A chat that the Airflow connection of its name leads to."""
    server = Chat()
    Thread(target=server.serve_forever, daemon=True).start()
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": server.server_port}
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({**connection, "extra": {"path": SECRET}}))
    yield server
    server.shutdown()
    server.server_close()


def send(*connections: str) -> None:
    from dags.notify import ConnectionNotifier, Message

    context: Any = {}
    ConnectionNotifier(connections, lambda _: Message("feed: release 3 is held", "See MLflow"))(context)


def test_a_message_is_posted_to_the_connections_address_and_path(airflow_home: Path, chat: Chat) -> None:
    send("chat")
    assert chat.received == [(f"/{SECRET}", None, "feed: release 3 is held\nSee MLflow")]


def test_a_password_without_login_is_sent_as_a_bearer_token(
    airflow_home: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{chat.server_port}/hook"
    connection = {"conn_type": "http", "host": address, "password": "p"}
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(connection))
    send("chat")
    assert [(path, login) for path, login, _ in chat.received] == [("/hook", "Bearer p")]


def test_a_message_that_cannot_be_sent_is_logged_without_its_address_and_the_others_are_sent(
    airflow_home: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DEAD", f'{{"conn_type": "http", "host": "127.0.0.1:1/{SECRET}"}}')
    monkeypatch.setenv("AIRFLOW_CONN_PAGER", '{"conn_type": "ftp", "host": "x"}')
    with caplog.at_level(logging.WARNING):
        send("dead", "pager", "absent", "chat")
    assert len(chat.received) == 1
    logged = [record.getMessage() for record in caplog.records if "was not sent" in record.getMessage()]
    assert [f"'{name}'" in line for name, line in zip(("dead", "pager", "absent"), logged, strict=True)]
    assert "Use http, https or smtp" in logged[1]
    assert SECRET not in caplog.text


def test_a_refusal_is_logged_with_its_status(
    airflow_home: Path, chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.status = 403
    with caplog.at_level(logging.WARNING):
        send("chat")
    assert "status 403" in caplog.text
    assert SECRET not in caplog.text


def test_a_run_that_fails_is_told_once_with_its_page(
    start: Start, chat: Chat, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_surface(tmp_path / "surfaces", "feed", more=NOTIFY)
    assert start("feed__labels", surfaces=tmp_path / "surfaces", home=tmp_path).state == "failed"
    ((_, _, text),) = chat.received
    subject, details = text.splitlines()
    assert subject == "feed__labels failed"
    assert "/dags/feed__labels/runs/" in details


def test_an_approval_tells_its_reviewers_and_where_they_answer(
    airflow_home: Path, chat: Chat, tmp_path: Path
) -> None:
    write_surface(tmp_path / "surfaces", "feed", more=NOTIFY)
    step = steps_of(parse(tmp_path / "surfaces").dags["feed__promote"])["approve_product"]
    (notifier,) = step.notifiers
    notifier({"task": step, "run_id": "manual__1"})
    subject, details = chat.received[0][2].splitlines()
    assert subject == "feed: may this release be champion? (product)"
    assert details.startswith("Reviewers: ana. ")
    assert details.endswith("/dags/feed__promote/runs/manual__1/tasks/approve_product")


def test_a_surface_without_notify_calls_nobody(bag: SimpleNamespace) -> None:
    assert bag.dags["feed__labels"].on_failure_callback is None
    assert steps_of(bag.dags["feed__promote"])["approve_product"].notifiers[0].connections == ()


def test_who_receives_messages_changes_no_contract_digest(tmp_path: Path) -> None:
    from tasks.contracts import load_surface

    write_surface(tmp_path / "without", "feed")
    write_surface(tmp_path / "with", "feed", more=NOTIFY)
    assert (
        load_surface(tmp_path / "with", "feed").digests == load_surface(tmp_path / "without", "feed").digests
    )
    assert set(yaml.safe_load(NOTIFY)["notify"]) == set(EVENTS)


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore")  # a step would fail by what Airflow's libraries say of one another
def test_a_held_release_and_a_moved_alias_are_told_and_update_their_assets(
    start: Start, champion: Any, chat: Chat, tmp_path: Path
) -> None:
    import shutil

    from tasks.stores.audit import Entry, Kind
    from tests.feeds import mini

    def tell(plain: dict[str, Any]) -> None:
        plain["notify"] = yaml.safe_load(NOTIFY)["notify"]
        plain["gates"] = {**plain.get("gates", {}), "freshness": {"newest_training_row": "P1D"}}

    home = Path(shutil.copytree(champion.home, tmp_path / "home"))
    there = mini.changed(champion, tmp_path, utility=mini.version_2, surface=tell)
    there = type(there).open(mini.NAME, surfaces=there.surfaces, home=home)
    judged: Ended = start(f"{mini.NAME}__policy_change", surfaces=there.surfaces, home=home)
    release = judged.result("gate")["release"]
    there.aliases.add(
        lambda entries, aliases: Entry(Kind.PROMOTE, "ana", release, 1, "carts rose", "of no evidence")
    )
    start(f"{mini.NAME}__rollback", surfaces=there.surfaces, home=home, why="returns rose")
    told = [text.splitlines()[0] for _, _, text in chat.received]
    assert told == [
        f"{mini.NAME}: the gates hold release {release}",
        f"{mini.NAME}: Champion: {release} -> 1",
    ]
    assert updates(f"{mini.NAME}.release")[-1] == {"release": release, "backfilled": False}
    assert updates(f"{mini.NAME}.champion") == [{"release": 1, "previous": release}]


def updates(asset: str) -> list[dict[str, Any]]:
    """Return what each update of an asset says, oldest first; Airflow adds fields of its own."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        asked = select(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        rows = session.scalars(asked.where(AssetModel.name == asset).order_by(AssetEvent.id)).all()
        return [dict(row.extra) for row in rows]


def test_each_step_that_makes_something_updates_its_asset(bag: SimpleNamespace) -> None:
    outlets = {
        (workflow, step): [one.name for one in operator.outlets]
        for workflow in ("labels", "retrain", "policy_change", "promote", "rollback")
        for step, operator in steps_of(bag.dags[f"feed__{workflow}"]).items()
        if operator.outlets
    }
    assert outlets == {
        ("labels", "validate"): ["feed.labels"],
        ("retrain", "validate"): ["feed.labels"],
        ("retrain", "release"): ["feed.release"],
        ("policy_change", "validate"): ["feed.labels"],
        ("policy_change", "release"): ["feed.release"],
        ("promote", "move"): ["feed.champion"],
        ("rollback", "rollback"): ["feed.champion"],
    }


@pytest.mark.filterwarnings("ignore")  # a step would fail by what Airflow's libraries say of one another
def test_alarms_are_told_once_and_fail_the_run_where_they_are_critical(
    start: Start, chat: Chat, tmp_path: Path
) -> None:
    from tasks.labels import build as labels
    from tests.monitoring.served_log import FILES, ServedLog, day_after

    log, as_of = ServedLog.of(tmp_path, days=124, requests=20, drift_from=110), f"{day_after(124):%FT%TZ}"
    workspace = log.write(surface=FILES["surface"] + "notify: {drift_alarms: [chat]}\n")
    labels.run(workspace, as_of=day_after(124))
    where = {"surfaces": workspace.surfaces, "home": workspace.home}
    first = start("shop__monitor", **where, as_of=as_of)
    assert (first.state, first.result("alarms")) == ("success", {"alarms": 1, "new": 1})
    ((_, _, text),) = chat.received
    subject, alarm, page = text.splitlines()
    assert subject == "shop: 1 new alarm"
    assert alarm.startswith("calibration ratio of click_1h: 1")
    assert "/dags/shop__monitor/runs/" in page
    critical = FILES["surface"] + "notify: {drift_alarms: [chat]}\nmonitor: {critical: [click_1h]}\n"
    (workspace.surfaces / "shop" / "surface.yaml").write_text(critical, encoding="utf-8")
    again = start("shop__monitor", **where, as_of=as_of)
    assert (again.state, again.steps["monitor", None], again.steps["alarms", None]) == (
        "failed", "success", "failed",
    )  # fmt: skip
    assert again.note.startswith("**Failed** at alarms: `GateRefused: calibration ratio of click_1h: 1")
    assert len(chat.received) == 1
