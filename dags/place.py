"""Where a step finds its contracts and its state: two settings, or else the repository's own folders."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.settings import Settings

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace


def surfaces_folder() -> Path:
    """Return the folder of surfaces: EQUIPOISE_SURFACES, or the repository's own."""
    return Settings.of_repository().surfaces


def home_folder() -> Path:
    """Return the folder of state: EQUIPOISE_HOME, or the repository's own."""
    return Settings.of_repository().home


def open_workspace(surface: str) -> "Workspace":
    """Return where a step works."""
    from tasks.stores.workspace import Workspace

    return Workspace.open(surface, surfaces=surfaces_folder(), home=home_folder())
