"""Equipoise's pages in Airflow's own application: who may read them, and what they say when a store is away."""

import doctest
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.dags.conftest import api_server, log_in
from tests.feeds.mini import NAME

pytestmark = pytest.mark.filterwarnings("ignore:Using .httpx. with .starlette.testclient.")

Get = Callable[..., Any]


@pytest.fixture(scope="module")
def airflow(migrated: Path, champion: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of Airflow's API server, which knows the champion's surface and has a user and a viewer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_SURFACES", str(champion.surfaces))
        patch.setenv("EQUIPOISE_HOME", str(champion.home))
        with api_server(tmp_path_factory.mktemp("logins"), {"ana": "user", "eve": "viewer"}) as client:
            _write_dag(f"{NAME}__promote")
            yield client


@pytest.fixture
def get(airflow: Any) -> Get:
    """Open a page as somebody who has logged in, or as nobody."""

    def ask(path: str, user: str | None = "eve", **headers: str) -> Any:
        if user is not None:
            headers |= log_in(airflow, user)
        airflow.cookies.clear()
        return airflow.get(f"/equipoise/{path}", headers=headers)

    return ask


PAGES = ["", NAME, f"{NAME}/releases/1/dossier"]


@pytest.mark.parametrize("path", PAGES)
def test_without_a_login_nothing_is_shown(get: Get, path: str) -> None:
    refused = get(path, user=None)
    assert refused.status_code == 401
    assert NAME not in refused.text
    assert get(path, user=None, Authorization="Bearer forged").status_code in {401, 403}


@pytest.mark.parametrize("path", PAGES)
def test_a_person_without_a_login_is_led_to_it_and_back(get: Get, path: str) -> None:
    led = get(path, user=None, Accept="text/html,*/*")
    assert led.status_code == 303
    page = f"/equipoise/{path}".replace("/", "%2F")
    assert led.headers["location"] == f"/api/v2/auth/login?next={page}"


def test_a_viewer_reads_who_serves(get: Get) -> None:
    first = get("")
    assert first.status_code == 200
    assert f'<a href="{NAME}">{NAME}</a>' in first.text
    page = get(NAME)
    assert page.status_code == 200
    assert "champion" in page.text
    assert "mature to" in page.text


def test_a_dossier_is_sealed_off_and_a_page_runs_no_script(get: Get) -> None:
    dossier, page = get(f"{NAME}/releases/1/dossier"), get(NAME)
    assert dossier.status_code == 200
    assert "release 1" in dossier.text
    assert dossier.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in dossier.headers["content-security-policy"]
    assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert "script-src" not in page.headers["content-security-policy"]
    for answer in (dossier, page, get("", user=None)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("no_such_surface", 404),
        ("..%2f..%2fetc", 404),
        (f"{NAME}/releases/99/dossier", 404),
        (f"{NAME}/releases/../dossier", 404),
        (f"{NAME}/releases/latest/dossier", 422),
        (f"{NAME}/monitor", 404),
        ("no_such_surface/monitor", 404),
    ],
)
def test_what_is_not_there_is_said_in_a_page(get: Get, path: str, code: int) -> None:
    found = get(path)
    assert found.status_code == code
    assert "Traceback" not in found.text


def test_a_surface_whose_dags_a_user_may_not_see_is_not_there(
    get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    monkeypatch.setattr(get_auth_manager(), "get_authorized_dag_ids", lambda **asked: {"other__promote"})
    assert NAME not in get("").text
    assert get(NAME).status_code == 404
    assert get(f"{NAME}/releases/1/dossier").status_code == 404


def test_a_dead_mlflow_is_said_on_a_page(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    first, page = get(""), get(NAME)
    assert (first.status_code, page.status_code) == (200, 503)
    for answer in (first, page):
        assert "The MLflow server is unreachable or refused the request" in answer.text
        assert "Traceback" not in answer.text


def test_a_slow_store_is_given_up(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    import dags.overview
    from tasks.promotion import overview

    monkeypatch.setattr(dags.overview, "PATIENCE", 0.05)
    monkeypatch.setattr(overview, "read", lambda workspace: time.sleep(1))
    page = get(NAME)
    assert page.status_code == 503
    assert "The stores did not answer within" in page.text


def test_what_nobody_foresaw_goes_to_the_log_and_not_to_the_page(
    get: Get, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tasks.promotion import overview

    unforeseen = RuntimeError("postgresql://equipoise:secret@db")
    monkeypatch.setattr(overview, "read", Mock(side_effect=unforeseen))
    page = get(NAME)
    assert page.status_code == 503
    assert "RuntimeError: see the log of the api-server" in page.text
    assert "secret" not in page.text
    assert "postgresql://equipoise:secret@db" in caplog.text


def test_the_navigation_leads_to_the_pages(airflow: Any, get: Get) -> None:
    from airflow.plugins_manager import get_plugin_info

    (plugin,) = [one for one in get_plugin_info() if one["name"] == "equipoise_overview"]
    (view,) = plugin["external_views"]
    assert (view["name"], view["href"], view["destination"]) == ("Equipoise", "equipoise/", "nav")


def test_the_examples_are_true(airflow_home: object) -> None:
    import dags.overview

    assert doctest.testmod(dags.overview).failed == 0


def _write_dag(dag_id: str) -> None:
    """Let Airflow know a DAG, as the DAG processor does."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    with create_session() as session:
        session.merge(DagBundleModel(name="dags-folder"))
        session.flush()
        session.merge(DagModel(dag_id=dag_id, bundle_name="dags-folder", fileloc="promote.py"))
