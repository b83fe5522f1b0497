import json

import pytest

from deploy.airflow_api import Airflow
from deploy.jobs import add_to_mlflow
from tasks.errors import StoreError
from tests.deploy.conftest import Server

CREATE = "/api/2.0/mlflow/users/create"


@pytest.fixture(autouse=True)
def _mlflow(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, value in {"URI": airflow.url, "USERNAME": "equipoise", "PASSWORD": "hush"}.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{part}", value)


def test_a_login_is_made_and_one_that_is_there_stays() -> None:
    add_to_mlflow("ana", "secret")
    Server.refuses = {CREATE: (400, {"error_code": "RESOURCE_ALREADY_EXISTS"})}
    add_to_mlflow("ana", "secret")
    login = {"username": "ana", "password": "secret"}
    assert [(path, json.loads(body)) for path, body in Server.posted] == [(CREATE, login)] * 2


@pytest.mark.parametrize(
    "refusal", [(401, {"error_code": "UNAUTHENTICATED"}), (400, {"error_code": "INVALID"})]
)
def test_a_refused_login_is_a_store_error_without_its_password(refusal: tuple[int, dict[str, str]]) -> None:
    Server.refuses = {CREATE: refusal}
    with pytest.raises(
        StoreError, match=f"refused the login of ana: {refusal[0]} .*{refusal[1]['error_code']}"
    ) as told:
        add_to_mlflow("ana", "secret")
    assert "secret" not in str(told.value)
