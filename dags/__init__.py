"""Airflow's side of the house: schedules, edges and runbooks. The work is in `tasks`."""
