"""The small feed, labelled and published once; steps are tested on it with a real store and real MLflow."""

import pytest

from tasks.steps.context import Context
from tests.steps.small_feed import small_feed


@pytest.fixture(scope="session")
def labelled_feed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, str]:
    return small_feed(tmp_path_factory.mktemp("small_feed"))
