"""A feed whose releases serve a share of the traffic first, and whose shadow gate a lead may override.

::

    logs/timed_feed        what it reads: the log of `tests.feeds.timed_feed`, which ends at the last midnight
    surfaces/staged_feed   two tasks; a ramp, an override, and a shadow gate that holds every other slate;
                           its schedule has ended a day before, so that no run begins by itself
"""

import shutil
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tasks.stores.workspace import Workspace
from tests.feeds import mini, timed_feed

NAME: Final = "staged_feed"
SHARE: Final = 0.25
REVIEWERS: Final = {"product": "ana", "safety": "sam", "lead": "max"}


def add_staged_feed(workspace: Workspace) -> None:
    """Write the surface beside that of the timed feed, whose log it reads."""
    surfaces = workspace.surfaces
    shutil.copytree(surfaces / timed_feed.NAME, surfaces / NAME)
    mini.rewrite(surfaces / NAME / "surface.yaml", _staged)


def _staged(plain: dict[str, Any]) -> None:
    plain["surface"] = NAME
    del plain["trunks"], plain["models"], plain["engine"]
    plain["until"] = (datetime.now(UTC) - timedelta(days=2)).date()
    plain["promotion"] = {}
    plain["reviewers"] = {role: [user] for role, user in REVIEWERS.items()}
    plain["ramp"] = {"stages": [{"share": SHARE, "harm": 0.5}], "guardrails": ["hide_2d_rate"]}
    plain["override"] = {"role": "lead", "gates": ["model", "calibration", "decision", "shadow"]}
    plain["gates"]["shadow"]["overlap_at_k_min"] = 1.0
