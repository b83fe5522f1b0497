import pytest

from deploy.airflow_api import Airflow
from tasks.errors import StoreError
from tests.deploy.conftest import Server


def test_a_dag_that_is_not_parsed_yet_is_not_known(airflow: Airflow) -> None:
    assert not airflow.knows("d")
    Server.answers = {"/api/v2/dags/d": [{"has_import_errors": False}]}
    assert airflow.knows("d")


def test_a_refusal_says_what_was_asked_and_why(airflow: Airflow) -> None:
    with pytest.raises(StoreError, match=r"refused GET /api/v2/dags/d/dagRuns/r: 404"):
        airflow.run("d", "r")


def test_an_airflow_that_is_down_is_said_to_be() -> None:
    with pytest.raises(StoreError, match="does not answer"):
        Airflow("http://127.0.0.1:9", "admin", "x").knows("d")


def test_the_password_is_not_shown() -> None:
    assert "hush" not in repr(Airflow("http://127.0.0.1:9", "admin", "hush"))
