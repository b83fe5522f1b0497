"""Delta tables; MLflow tracking and registry."""
