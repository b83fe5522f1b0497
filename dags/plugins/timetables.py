"""Makes the house's timetable known to Airflow: `AIRFLOW__CORE__PLUGINS_FOLDER` is this folder."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.ending import EndingCronTimetable


class EquipoiseTimetables(AirflowPlugin):
    """Timetables of the house."""

    name = "equipoise_timetables"
    timetables: ClassVar[list[type]] = [EndingCronTimetable]
