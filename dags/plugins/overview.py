"""Makes Equipoise's pages known to Airflow: `AIRFLOW__CORE__PLUGINS_FOLDER` is this folder."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.overview import PREFIX, serve


class EquipoiseOverview(AirflowPlugin):
    """The pages, and the way to them in the navigation: a tab of its own, whose links lead into Airflow."""

    name = "equipoise_overview"
    fastapi_apps: ClassVar[list[Any]] = [{"app": serve, "url_prefix": PREFIX, "name": "Equipoise"}]
    external_views: ClassVar[list[Any]] = [
        {
            "name": "Equipoise",
            "href": f"{PREFIX.removeprefix('/')}/",
            "destination": "nav",
            "category": "browse",  # a top-level view is drawn as a button that opens nothing
        }
    ]
