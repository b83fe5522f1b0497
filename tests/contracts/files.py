"""A small valid surface as plain data; a test changes one thing and writes it as YAML."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from tasks.contracts import Checked, Contracts, check_surface, load_surface

Files = dict[str, dict[str, Any]]

VALID: Files = {
    "tasks": {
        "contract": "feed-labels",
        "version": 1,
        "tasks": {
            "click": {"family": "engagement", "positive": {"event": "click", "within": "PT30M"}},
            "buy": {"family": "conversion", "positive": {"event": "purchase", "within": "P7D"}},
            "return": {
                "family": "negative",
                "positive": {"event": "return", "within": "P30D", "after": "buy"},
                "cadence": "slow",
            },
            "happy": {"family": "satisfaction", "compose": {"all_of": ["click"], "none_of": ["return"]}},
            "spend": {
                "family": "conversion",
                "kind": "value",
                "value": {"event": "purchase", "within": "P7D", "aggregate": "sum"},
            },
            "visit": {
                "family": "long_term",
                "level": "request",
                "positive": {"event": "visit", "within": "P28D", "match": ["user_id"]},
            },
        },
    },
    "surface": {
        "surface": "feed",
        "version": 1,
        "owner": "ranking",
        "reviewers": {"product": ["ana"]},
        "sources": {"impressions": "feed/impressions/*.parquet", "events": "feed/events/*.parquet"},
        "features": {"numeric": ["price"], "categorical": ["category"]},
        "segments": ["category", {"name": "age", "from": "item_age", "bins": [1, 7]}],
        "values": ["margin"],
        "split": {"train": "P28D", "calibrate": "P7D", "test": "P7D"},
    },
    "utility": {
        "policy": "feed-utility",
        "version": 1,
        "owner": "ranking",
        "approvals": ["product"],
        "weights": {"click": 0.4, "buy": {"weight": 20.0, "times": "margin"}, "return": -5.0},
        "contexts": [{"name": "new", "when": {"tenure": ["new"]}, "weights": {"return": -9.0}}],
        "relevance_floor": {"click": 0.01},
        "guardrails": [{"metric": "return_predicted", "relative_increase_max": 0.05}],
    },
    "slate": {"policy": "feed-slate", "version": 1, "length": 10},
}


def write_surface(root: Path, *changes: Callable[[Files], object]) -> Path:
    """Write the valid surface ``feed`` with changes, in turn; return the folder of surfaces."""
    files = deepcopy(VALID)
    for change in changes:
        change(files)
    folder = root / "feed"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return root


def check_files(root: Path, *changes: Callable[[Files], object]) -> Checked:
    """Write the valid surface with changes, and check it."""
    return check_surface(write_surface(root, *changes), "feed")


def load_files(root: Path, *changes: Callable[[Files], object]) -> Contracts:
    """Write the valid surface with changes, and load it."""
    return load_surface(write_surface(root, *changes), "feed")


def setting(path: str, value: Any) -> Any:
    """Return a change that sets ``file.a.b``, or ``a.b`` of one file, to a value; None deletes it."""

    def change(files: Files) -> None:
        *parents, last = path.split(".")
        place: Any = files
        for key in parents:
            place = place[int(key)] if isinstance(place, list) else place[key]
        if value is None:
            del place[last]
        elif isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value

    return change
