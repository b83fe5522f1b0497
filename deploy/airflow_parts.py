"""Airflow's own parts and the settings that they have in every profile."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.layout import HOST, Layout
from deploy.services import Service, Web
from tasks.settings import REPOSITORY

Sections = Mapping[str, Mapping[str, object]]
_PATIENCE = {"api-server": {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}}
"""Who waits for one of Equipoise's pages is told soon that MLflow is away; a step waits longer."""


@dataclass(frozen=True)
class Site:
    """Where Airflow's parts find one another and their files.

    Parameters
    ----------
    listen : address that its web server listens at.
    url : address that the parts use among themselves.
    page : address that people open.
    """

    python: str
    repository: str
    home: str
    listen: str
    port: int
    url: str
    page: str


def site_here(layout: Layout) -> Site:
    """Return the site of an installation on this machine."""
    url = layout.airflow_url
    return Site(sys.executable, str(REPOSITORY), str(layout.home), HOST, layout.airflow_port, url, url)


def describe_parts(site: Site, variables: Mapping[str, str], *, after: tuple[str, ...]) -> Iterator[Service]:
    """Describe the four parts; none serves logs, since all write them into one folder."""
    health = f"{site.url}/api/v2/monitor/health"
    parts: Mapping[str, tuple[tuple[str, ...], str]] = {
        "api-server": ((), ""),
        "scheduler": (("--skip-serve-logs",), "scheduler"),
        "dag-processor": ((), "dag_processor"),
        "triggerer": (("--skip-serve-logs",), "triggerer"),
    }
    for name, (flags, part) in parts.items():
        command = (site.python, "-m", "airflow", name, *flags)
        yield Service(name, command, {**variables, **_PATIENCE.get(name, {})}, Web(health, part), after)


def airflow_environment(site: Site, secrets: Mapping[str, str], profile: Sections) -> dict[str, str]:
    """Write Airflow's settings as the variables that it reads: every profile's, and this profile's own.

    Parameters
    ----------
    secrets : the three keys, by name.
    profile : the profile's own settings, by section and key.
    """
    shared: Sections = {
        "CORE": {
            "DAGS_FOLDER": f"{site.repository}/dags",
            "PLUGINS_FOLDER": f"{site.repository}/dags/plugins",
            "LOAD_EXAMPLES": False,
            "EXECUTION_API_SERVER_URL": f"{site.url}/execution/",
            "FERNET_KEY": secrets["AIRFLOW_FERNET_KEY"],
        },
        "API": {
            "HOST": site.listen,
            "PORT": site.port,
            "BASE_URL": site.page,
            "WORKERS": 1,
            "SECRET_KEY": secrets["AIRFLOW_SECRET_KEY"],
        },
        "API_AUTH": {"JWT_SECRET": secrets["AIRFLOW_JWT_SECRET"]},
        "DAG_PROCESSOR": {"PARSING_PROCESSES": 1},
        "USAGE_DATA_COLLECTION": {"ENABLED": False},
    }
    return {"AIRFLOW_HOME": f"{site.home}/airflow", **_variables(shared), **_variables(profile)}


def _variables(sections: Sections) -> dict[str, str]:
    """Name settings as Airflow's variables.

    Examples
    --------
    >>> _variables({"API": {"PORT": 8080}})
    {'AIRFLOW__API__PORT': '8080'}
    """
    return {
        f"AIRFLOW__{section}__{key}": str(value)
        for section, values in sections.items()
        for key, value in values.items()
    }
