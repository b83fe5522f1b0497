"""Whether the audit vouches for a release that somebody loads by MLflow alone.

A release's own script (``model.py``) asks here where EQUIPOISE_REQUIRE_VERIFIED is set, by the name of this
module and of its function: so both stay what they are for as long as such releases are loaded. It reads no
tag that whoever moves an alias by hand may set as well: the audit is held against the very bytes.
"""

from pathlib import Path

from tasks.errors import EquipoiseError
from tasks.release.loading import is_own_loading
from tasks.settings import Settings
from tasks.stores.parts import folder_sha256
from tasks.stores.store import Store


def find_caveat(folder: Path, surface: str) -> str:
    """Say why a release in a folder is not to be loaded; empty where nothing speaks against it.

    Nothing does where EQUIPOISE_REQUIRE_VERIFIED does not ask for it, or where this program loads the release
    and has decided itself: a replay loads what was never champion.
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
        return f"The audit of {surface} cannot be asked: {error}"
