from pathlib import Path

import pytest

from tests.labels.conftest import engine, story
from tests.logs.small_log import Shop, events, impressions

__all__ = ["engine", "shop", "story"]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "home").put("impressions", impressions()).put("events", events())
