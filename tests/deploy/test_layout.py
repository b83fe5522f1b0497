import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.layout import Layout
from tasks.errors import ContractError, StoreError
from tasks.settings import REPOSITORY


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield int(held.getsockname()[1])


def test_the_defaults_lie_in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EQUIPOISE_HOME", "EQUIPOISE_SURFACES", "EQUIPOISE_AIRFLOW_PORT", "EQUIPOISE_MLFLOW_PORT"):
        monkeypatch.delenv(name, raising=False)
    layout = Layout.from_environment()
    assert (layout.home, layout.surfaces) == (REPOSITORY / ".equipoise", REPOSITORY / "surfaces")
    assert (layout.airflow_url, layout.mlflow_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:5000")


def test_the_environment_moves_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_AIRFLOW_PORT", "18080")
    layout = Layout.from_environment()
    assert (layout.home, layout.airflow_port) == (tmp_path, 18080)


@pytest.mark.parametrize("port", ["eighty", "80", "65536", "-1", "8080.5"])
def test_what_is_no_port_is_refused_with_its_setting(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("EQUIPOISE_MLFLOW_PORT", port)
    with pytest.raises(ContractError, match="EQUIPOISE_MLFLOW_PORT"):
        Layout.from_environment()


def test_a_taken_port_is_refused_with_the_setting_that_chooses_another(
    tmp_path: Path, taken_port: int
) -> None:
    with pytest.raises(StoreError, match=rf"Port {taken_port} is taken .* EQUIPOISE_AIRFLOW_PORT"):
        Layout(tmp_path, tmp_path, airflow_port=taken_port).require_free_ports()


def test_the_demo_takes_the_next_free_port_and_never_one_twice(tmp_path: Path, taken_port: int) -> None:
    layout = Layout(tmp_path, tmp_path, airflow_port=taken_port, mlflow_port=taken_port).with_free_ports()
    assert layout.airflow_port > taken_port
    assert layout.mlflow_port > taken_port
    assert layout.airflow_port != layout.mlflow_port
