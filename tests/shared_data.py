"""Where the real logged data lie that the project uses and does not carry.

``EQUIPOISE_SHARED_DATA`` names their folder; else ``../shared/data`` beside the repository is looked at.
"""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(
    os.environ.get("EQUIPOISE_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)
KUAIRAND = SHARED_DATA / "KuaiRand-Pure"

needs_kuairand = pytest.mark.skipif(
    not KUAIRAND.is_dir(),
    reason=f"KuaiRand-Pure is not in {SHARED_DATA}; name the folder that holds it in EQUIPOISE_SHARED_DATA",
)
