"""The parts on this machine: start, follow and stop Airflow and MLflow, by subprocess and HTTP alone."""
