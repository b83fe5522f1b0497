"""Makes the picture of docs/share_a_trunk.md: how a trunk of four tasks was learned on the mini feed.

``python -m tests.docs.trunk_pictures`` writes it anew into docs/pictures; it takes a minute.
"""

import tempfile
from pathlib import Path
from typing import Any

from tasks.datasets.world.generate import generate
from tasks.labels import build
from tasks.stores.workspace import Workspace
from tasks.training import trunk_step
from tasks.training.trunk_step import TRAINING
from tasks.validation import step as validate
from tests.docs.pages import DOCS
from tests.feeds import mini

TASKS = ["click_30m", "purchase_2d", "hide_2d", "satisfied_2d"]


def with_trunk(plain: dict[str, Any]) -> None:
    """Let four tasks share a trunk without ids."""
    plain["trunks"] = {"feed": {"tasks": TASKS, "layers": [32, 16], "epochs": 15, "batch": 256}}
    plain["models"] = {"default": "best"}


def trained(folder: Path) -> tuple[Workspace, str]:
    """Train the trunk; return where it is and its run."""
    generate(days=mini.DAYS, requests_per_day=400, seed=mini.SEED, out=folder / "world")
    asked = mini.with_log(mini.write_contracts(folder / "all"), folder / "world", folder)
    workspace = mini.changed(asked, folder, surface=with_trunk)
    snapshot = build.run(workspace, as_of=mini.AS_OF).snapshot
    validate.run(workspace, as_of=mini.AS_OF, snapshot=snapshot).require_success()
    return workspace, trunk_step.run(workspace, trunk="feed", as_of=mini.AS_OF, snapshot=snapshot).run_id


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        workspace, run = trained(Path(folder))
        drawn = workspace.store.runs.read_pictures(run)[TRAINING]
    (DOCS / "pictures" / "trunk_training.svg").write_bytes(drawn)


if __name__ == "__main__":
    main()
