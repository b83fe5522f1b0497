"""Where the real logged data lie that the project uses and does not carry.

``EQUIPOISE_SHARED_DATA`` names their folder; else ``../shared/data`` beside the repository is looked at.
"""

import pytest

from tasks.settings import Settings

SHARED_DATA = Settings().shared_data
KUAIRAND = SHARED_DATA / "KuaiRand-Pure"

needs_kuairand = pytest.mark.skipif(
    not KUAIRAND.is_dir(),
    reason=f"KuaiRand-Pure is not in {SHARED_DATA}; name the folder that holds it in EQUIPOISE_SHARED_DATA",
)

OPEN_BANDIT = SHARED_DATA / "open_bandit"

needs_open_bandit = pytest.mark.skipif(
    not OPEN_BANDIT.is_dir(),
    reason=f"Open Bandit is not in {SHARED_DATA}; name the folder that holds it in EQUIPOISE_SHARED_DATA",
)
