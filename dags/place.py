"""Where a step finds its contracts and its state: two settings, or else the repository's own folders."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace

REPOSITORY = Path(__file__).resolve().parents[1]


def surfaces_folder() -> Path:
    """Return the folder of surfaces: EQUIPOISE_SURFACES, or the repository's own."""
    return Path(os.environ.get("EQUIPOISE_SURFACES") or REPOSITORY / "surfaces")


def home_folder() -> Path:
    """Return the folder of state: EQUIPOISE_HOME, or the repository's own."""
    return Path(os.environ.get("EQUIPOISE_HOME") or REPOSITORY / ".equipoise")


def open_workspace(surface: str) -> "Workspace":
    """Return where a step works."""
    from tasks.stores.workspace import Workspace

    return Workspace.open(surface, surfaces=surfaces_folder(), home=home_folder())
