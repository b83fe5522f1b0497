"""The production services on this machine are those of the description, with this machine's addresses."""

import re
import shutil
from pathlib import Path

import pytest

from deploy import production
from deploy.compose import PLACES, SECRETS
from deploy.installation import profile_of
from deploy.layout import Layout
from deploy.production import INFRASTRUCTURE, places_here

SERVICES = {service.name: service for service in production.describe_services(PLACES, SECRETS)}


def test_this_machine_starts_the_same_services_with_the_same_words(tmp_path: Path) -> None:
    if shutil.which("redis-server") is None or not Path("/usr/lib/postgresql").exists():
        pytest.skip("Debian's PostgreSQL and Redis are not installed")
    layout = Layout.from_environment("production")
    own = Layout(tmp_path, layout.surfaces, profile="production", ports=layout.ports)
    here = {service.name: service for service in profile_of(own).services(own)}
    assert set(here) == {*INFRASTRUCTURE, *SERVICES, "postgres-data"}
    for name, service in SERVICES.items():
        assert [at_home(word) for word in here[name].command] == [at_home(word) for word in service.command]
        assert set(service.environment) <= set(here[name].environment)
        assert here[name].after == service.after


def at_home(word: str) -> str:
    """Blot out what differs by place: the interpreter, addresses and ports."""
    if word.endswith("python"):
        return "python"
    return re.sub(r"^(0\.0\.0\.0|127\.0\.0\.1)$|^\d+$", "here", word)


def test_services_speak_to_one_another_on_this_machine_alone(tmp_path: Path) -> None:
    places = places_here(Layout.from_environment("production"))
    addresses = (places.objects, places.mlflow, places.airflow.url, places.redis, places.postgres_host)
    assert all("127.0.0.1" in address for address in addresses)


def test_steps_find_the_object_store_and_mlflow_and_a_service_finds_no_more_than_it_needs() -> None:
    steps = SERVICES["scheduler"].environment
    assert (steps["EQUIPOISE_STORE"], steps["MLFLOW_TRACKING_URI"]) == ("s3://equipoise/store", PLACES.mlflow)
    assert not any(name.startswith("AIRFLOW") for name in SERVICES["mlflow"].environment)
    assert [name for name in SERVICES["prepare"].environment if name.endswith("_PASSWORD")].count(
        "EVE_PASSWORD"
    ) == 0
