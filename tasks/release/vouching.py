"""Checks a release against the audit when a user loads it with MLflow alone.

If EQUIPOISE_REQUIRE_VERIFIED is set, a release's script (``model.py``) imports this module and function by
name, so both names must stay as long as such releases are loaded. The check compares the audit with the bytes
and reads no tag, because a user who moves an alias by hand can set tags as well.
"""

from pathlib import Path

from tasks.errors import EquipoiseError
from tasks.release.loading import is_own_loading
from tasks.settings import Settings
from tasks.stores.manifest import folder_sha256
from tasks.stores.store import Store


def find_caveat(folder: Path, surface: str) -> str:
    """Return why a release in a folder must not be loaded; empty if it may be.

    It is empty if EQUIPOISE_REQUIRE_VERIFIED is not set, or if this program loads the release and checks it
    itself: a replay loads releases that were never champion.
    """
    if is_own_loading():
        return ""
    try:
        settings = Settings()
        if not settings.require_verified:
            return ""
        moves = Store.open(settings.home).aliases(surface)
        return moves.unverified(folder_sha256(folder))
    except (EquipoiseError, OSError) as error:
        return f"The audit of {surface} cannot be read: {error}"
