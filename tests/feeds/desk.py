"""The simulated workbench with short windows, retrained whole in seconds.

The contracts are those of ``surfaces/case_desk``, changed as data.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.datasets.case_desk import generate_case_desk
from tasks.stores.workspace import Workspace
from tests.feeds.mini import SURFACES, Change, rewrite
from tests.stores.mlflow_home import new_home

NAME = "case_desk"
DAYS, REQUESTS_PER_DAY, SEED = 40, 260, 3
AS_OF = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=DAYS)


def desk(folder: Path, **changes: Change) -> Workspace:
    """Generate the desk's log into a new home below a folder, under the short contracts."""
    home = new_home(folder / "home")
    generate_case_desk(days=DAYS, requests_per_day=REQUESTS_PER_DAY, seed=SEED, out=home / "logs" / NAME)
    surfaces = folder / "surfaces"
    shutil.copytree(SURFACES / NAME, surfaces / NAME)
    for kind, change in {"tasks": _short_tasks, "surface": _short_surface, **changes}.items():
        rewrite(surfaces / NAME / f"{kind}.yaml", change)
    return Workspace.open(NAME, surfaces=surfaces, home=home)


def _short_tasks(plain: dict[str, Any]) -> None:
    tasks = plain["tasks"]
    del tasks["handling_minutes_1d"]
    tasks["case_progress_3d"]["maturity"] = "P3D"
    tasks["sla_met"]["positive"]["within"] = tasks["sla_met"]["maturity"] = "P5D"
    tasks["rework_30d"]["positive"]["within"] = "P4D"
    del tasks["rework_30d"]["cadence"]


def _short_surface(plain: dict[str, Any]) -> None:
    plain["split"] = {"train": "P10D", "calibrate": "P4D", "test": "P5D"}
    plain["lightgbm"] = {
        "default": {"num_leaves": 7, "learning_rate": 0.15, "rounds": 30, "min_data_in_leaf": 50}
    }
    plain["base_rates"] = {"accepted_15m": [0.1, 0.4]}
    plain["gates"]["freshness"] = {"newest_training_row": "P75D"}
    plain["gates"]["calibration"] = {"ratio": [0.5, 2.0], "by": ["tenant"]}
