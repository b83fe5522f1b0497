"""One installation for each group of tests that ask for it: its start takes half a minute."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.installation import Installation, installed

LONGEST = ("production", "installation", "own_surfaces")
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


class Installations(dict[str, Installation]):
    """An installation for each group of tests, started when it is first asked for."""

    def __init__(self, folders: pytest.TempPathFactory, stack: ExitStack) -> None:
        super().__init__()
        self._folders, self._stack = folders, stack

    def __missing__(self, group: str) -> Installation:
        started = installed(self._folders.mktemp(group))
        self[group] = self._stack.enter_context(started)
        return self[group]


@pytest.fixture(scope="session")
def installations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installations]:
    with ExitStack() as stack:
        yield Installations(tmp_path_factory, stack)


@pytest.fixture(scope="module")
def installation(request: pytest.FixtureRequest, installations: Installations) -> Installation:
    """Airflow's real parts and MLflow's server over the mini home_feed: those of the module's group."""
    group = request.node.get_closest_marker("xdist_group")
    return installations[group.args[0] if group else "installation"]
