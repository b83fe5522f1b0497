"""Variables of the environment: read when they are asked for, refused by name, listed without secrets."""

import os
from pathlib import Path

import pytest

from tasks.errors import ContractError
from tasks.settings import REPOSITORY, Limits, Settings, describe_settings, find_misspelt_names, limits


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("EQUIPOISE_", "MLFLOW_TRACKING", "AWS_")):
            monkeypatch.delenv(name)


def test_a_variable_is_read_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    assert settings.threads is None
    monkeypatch.setenv("EQUIPOISE_THREADS", "3")
    assert settings.threads == 3


def test_folders_begin_at_the_root_unless_a_variable_names_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (Settings().home, Settings().surfaces) == (tmp_path / ".equipoise", tmp_path / "surfaces")
    of_repository = Settings.of_repository()
    assert (of_repository.home, of_repository.surfaces) == (
        REPOSITORY / ".equipoise",
        REPOSITORY / "surfaces",
    )
    monkeypatch.setenv("EQUIPOISE_HOME", "elsewhere")
    assert Settings().home == of_repository.home == tmp_path / "elsewhere"


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EQUIPOISE_AIRFLOW_PORT", "EQUIPOISE_STORE"):
        monkeypatch.setenv(name, "")
    assert (Settings().airflow_port, Settings().store) == (8080, None)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("EQUIPOISE_THREADS", "two", "EQUIPOISE_THREADS = 'two' is not a number of threads"),
        ("EQUIPOISE_REQUIRE_VERIFIED", "yes", "EQUIPOISE_REQUIRE_VERIFIED = 'yes' is neither 0 nor 1"),
        ("EQUIPOISE_MEMORY", "4 gigs", "EQUIPOISE_MEMORY = '4 gigs' is not a memory size"),
        ("EQUIPOISE_AIRFLOW_PORT", "80", "EQUIPOISE_AIRFLOW_PORT = '80' is not a port. .* 1024 to 65535"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    (variable,) = [variable for variable in Settings.variables() if variable.name == name]
    with pytest.raises(ContractError, match=message):
        variable.read(Settings())
    assert Settings().mlflow_port == 5000
    (row,) = [row for row in describe_settings(Settings()) if row.problem]
    assert (row.name, row.value, row.is_set) == (name, value, True)


@pytest.mark.parametrize("memory", ["4GB", "300MB", "2GiB", "1.5 GB", "4g", "80%"])
def test_memory_is_what_an_engine_understands(monkeypatch: pytest.MonkeyPatch, memory: str) -> None:
    monkeypatch.setenv("EQUIPOISE_MEMORY", memory)
    assert Settings().memory == memory


def test_the_list_shows_what_holds_and_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EQUIPOISE_POSTGRESQL_SHOP", "postgresql://reader:hush@db/shop")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:hu@sh@mlflow.example:5000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "hush")
    rows = {row.name: row for row in describe_settings(Settings(tmp_path))}
    assert rows["EQUIPOISE_HOME"].value == str(tmp_path / ".equipoise")
    assert not rows["EQUIPOISE_HOME"].is_set
    assert rows["EQUIPOISE_POSTGRESQL_SHOP"].value == rows["AWS_ACCESS_KEY_ID"].value == "***"
    assert rows["MLFLOW_TRACKING_URI"].value == "http://***@mlflow.example:5000"
    assert "hush" not in str(rows)


def test_every_server_of_postgresql_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "EQUIPOISE_POSTGRESQL_<NAME>" in {row.name for row in describe_settings(Settings())}
    monkeypatch.setenv("EQUIPOISE_POSTGRESQL_SHOP", "address")
    assert Settings().postgresql == {"SHOP": "address"}


def test_a_misspelt_name_is_told_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_misspelt_names() == []
    monkeypatch.setenv("EQUIPOISE_POSTGRESQL_ANY", "is fine")
    monkeypatch.setenv("EQUIPOISE_HOEM", "x")
    (sentence,) = find_misspelt_names()
    assert "EQUIPOISE_HOEM is not known; did you mean EQUIPOISE_HOME?" in sentence


def test_people_open_mlflow_where_it_is_said_or_at_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().mlflow_address == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert Settings().mlflow_address == ""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://inside:5000/")
    assert Settings().mlflow_address == "http://inside:5000"
    monkeypatch.setenv("EQUIPOISE_MLFLOW_URL", "https://mlflow.example")
    assert Settings().mlflow_address == "https://mlflow.example"


def test_the_environment_goes_before_the_contract_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits() == Limits(os.cpu_count() or 1, "4GB")
    assert limits(3, "2GB") == Limits(3, "2GB")
    monkeypatch.setenv("EQUIPOISE_THREADS", "5")
    monkeypatch.setenv("EQUIPOISE_MEMORY", "6GB")
    assert limits(3, "2GB") == limits() == Limits(5, "6GB")


@pytest.mark.parametrize("threads", ["0", "-1", "two", "1.5"])
def test_threads_that_are_no_number_are_refused(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("EQUIPOISE_THREADS", threads)
    with pytest.raises(ContractError, match=f"EQUIPOISE_THREADS = '{threads}' is not a number"):
        limits()
