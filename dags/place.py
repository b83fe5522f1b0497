"""Where a step finds its contracts and its state: two settings, or else the repository's own folders.

Every step begins by opening its workspace; what it writes from there on is not readable by everybody.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.privacy import withhold_from_others
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
    """Return where a step works, and withhold from others what it writes there."""
    withhold_from_others()
    from tasks.stores.workspace import Workspace

    return Workspace.open(surface, surfaces=surfaces_folder(), home=home_folder())
