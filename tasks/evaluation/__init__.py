"""Metrics of predictions and of exposure, with intervals clustered by user, and verdicts on bounds."""
