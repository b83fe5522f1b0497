"""The folders of contracts and state: two settings, or by default the repository's own folders.

Every step begins by opening its workspace, which restricts the permissions of the files that it writes.
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
    """Open the workspace of a step, and restrict the permissions of the files that it writes."""
    withhold_from_others()
    from tasks.stores.workspace import Workspace

    return Workspace.open(surface, surfaces=surfaces_folder(), home=home_folder())
