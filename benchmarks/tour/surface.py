"""The surface of the tour: `home_feed` with fewer tasks and trees, a ramp and one explored slot."""

from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.operating_worlds.surface import SURFACE, write_surface
from tasks.contracts.load import read_yaml

TASKS: Final = ("click_30m", "purchase_7d", "satisfied_7d", "hide_7d")
COST: Final = "hide_7d"
_SATISFIED: Final = {"compose": {"all_of": ["dwell_60s_1d"], "none_of": [COST]}}
"""Without reports: 1 in 7,000 impressions, too few to learn from on so small a feed."""
_FEW: Final = {"num_leaves": 15, "learning_rate": 0.15, "rounds": 40, "lambda_l2": 5.0}
_MORNINGS: Final = "0 2 */4 * *"
_SURFACE: Final[dict[str, Any]] = {
    "segments": ["user_tenure", {"name": "item_age", "from": "item_age_days", "bins": [7, 30]}],
    "lightgbm": {
        "default": {**_FEW, "early_stopping_rounds": 15, "min_data_in_leaf": 200},
        COST: {**_FEW, "num_leaves": 12, "min_data_in_leaf": 500},
    },
    "ramp": {
        "stages": [{"share": 0.25, "harm": 1.0}, {"share": 0.5, "harm": 0.5}],
        "guardrails": ["hide_7d_rate", "satisfied_7d_rate"],
        "wait": {"least": "P2D", "most": "P7D"},
    },
    "schedule": {"labels": _MORNINGS, "retrain": "0 4 * * 1", "monitor": _MORNINGS},
    "promotion": {"approvals_on_command_line": "by_account"},
}
REVIEWERS: Final = {"product": "ana", "safety": "sam"}


def write_contracts(folder: Path) -> Path:
    """Write the four files into a folder; return it."""
    surfaces = write_surface(folder, tasks=TASKS, split={}, changed={"satisfied_7d": _SATISFIED})
    gates = read_contract(surfaces, "surface")["gates"]
    gates["decision"] |= {"shown_only": "canary"}  # what is inconclusive offline may be tried on some users
    change_contract(surfaces, "surface", gates=gates, **_SURFACE)
    change_contract(surfaces, "slate", exploration={"slots": 1, "among": 20, "salt": "tour"})
    return surfaces


def read_contract(surfaces: Path, name: str) -> dict[str, Any]:
    """Read one of the four files."""
    return dict(read_yaml(surfaces / SURFACE / f"{name}.yaml"))


def change_contract(surfaces: Path, name: str, **keys: Any) -> None:
    """Set keys of one of the four files."""
    content = {**read_contract(surfaces, name), **keys}
    file = surfaces / SURFACE / f"{name}.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
