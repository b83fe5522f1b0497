"""Makes the writer of notes known to Airflow: `AIRFLOW__CORE__PLUGINS_FOLDER` is this folder."""

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from dags.note import NoteWriter


class EquipoiseNotes(AirflowPlugin):
    """Listeners of the house."""

    name = "equipoise_notes"
    listeners: ClassVar[list[Any]] = [NoteWriter()]
