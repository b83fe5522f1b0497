"""Equipoise: retrain a multi-task, multi-objective ranker and decide whether the result may serve."""

import os

# Threads of LightGBM that wait for each other would spin, and starve a step beside them on the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
