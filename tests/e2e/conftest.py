"""One installation in each process for the tests that ask for it: its start takes half a minute."""

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, installed

LONGEST = frozenset({"test_production"})


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real parts, and keep it in one process, but for modules that name their own group.

    What takes longest begins first, so that no worker is left alone with it.
    """
    for item in items:
        if "installation" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group("installation"))
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Airflow's real parts and MLflow's server over the mini home_feed."""
    with installed(tmp_path_factory.mktemp("installation")) as started:
        yield started
