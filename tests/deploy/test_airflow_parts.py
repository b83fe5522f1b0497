from deploy.airflow_parts import Site, airflow_environment, describe_parts
from deploy.services import Web

SITE = Site(
    "python", "/srv/equipoise", "/var/state", "127.0.0.1", 8080, "http://api:8080", "http://page:8080"
)
KEYS = {"AIRFLOW_FERNET_KEY": "f", "AIRFLOW_SECRET_KEY": "s", "AIRFLOW_JWT_SECRET": "j"}


def test_each_part_is_asked_at_the_health_page_and_starts_after_the_same() -> None:
    parts = {part.name: part for part in describe_parts(SITE, {"A": "b"}, after=("prepare",))}
    assert [*parts] == ["api-server", "scheduler", "dag-processor", "triggerer"]
    page = "http://api:8080/api/v2/monitor/health"
    assert parts["api-server"].ready == Web(page)
    assert parts["dag-processor"].ready == Web(page, "dag_processor")
    assert {part.after for part in parts.values()} == {("prepare",)}
    assert parts["scheduler"].command == ("python", "-m", "airflow", "scheduler", "--skip-serve-logs")


def test_a_profile_adds_its_own_settings_to_those_of_every_profile() -> None:
    variables = airflow_environment(SITE, KEYS, {"CORE": {"EXECUTOR": "LocalExecutor"}})
    assert variables["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://api:8080/execution/"
    assert variables["AIRFLOW__API__BASE_URL"] == "http://page:8080"
    assert variables["AIRFLOW_HOME"] == "/var/state/airflow"
    assert variables["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
