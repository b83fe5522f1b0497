"""Metrics of predictions and of exposure, their user-clustered intervals, and verdicts on bounds."""
