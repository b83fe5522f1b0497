"""Where things are kept: Delta tables, MLflow's runs and registered parts, the audit, locks, a workspace."""
