"""Equipoise: retrain a multi-task, multi-objective ranker and decide whether the result may serve."""
