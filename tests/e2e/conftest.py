"""One installation in each process for the tests that ask for it: its start takes half a minute."""

from collections.abc import Iterator

import pytest

from tests.e2e.installation import Installation, installed

LONGEST = ("production", "installation", "drills", "own_surfaces")
"""Groups that begin first, so that no worker is left alone with one of them."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the real parts, and keep it in one process, but for modules that name their own group."""
    for item in items:
        if "installation" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group("installation"))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Return when a test's group begins."""
    group = item.get_closest_marker("xdist_group")
    return LONGEST.index(group.args[0]) if group and group.args[0] in LONGEST else len(LONGEST)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Airflow's real parts and MLflow's server over the mini home_feed."""
    with installed(tmp_path_factory.mktemp("installation")) as started:
        yield started
