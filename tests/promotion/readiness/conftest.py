from pathlib import Path

import pytest

from tasks.promotion.readiness.facts import ReadinessFacts
from tests.promotion.readiness import standings


@pytest.fixture
def sound(tmp_path: Path) -> ReadinessFacts:
    """A surface that is ready."""
    return standings.facts(standings.contracts(tmp_path))
