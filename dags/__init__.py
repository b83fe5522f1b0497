"""Airflow DAGs: schedules, edges and runbooks. The work is in `tasks`."""
