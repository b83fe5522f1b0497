"""Two feeds with real stores and real MLflow.

The small feed, labelled and published once, is what single steps are tested on. The mini home_feed is
retrained whole: its fixtures are the states of one home, each made from the one before::

    first_retrain    as of AS_OF
    repeated         the same once more
    second_retrain   release 1 is champion, two days have passed, the utility policy has version 2
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tasks.datasets.world.generate import generate
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
from tests.feeds import mini, small_release
from tests.feeds.mini import AS_OF, LATER, Killed, Retrained
from tests.feeds.small_feed import small_feed
from tests.stores.local_path import local
from tests.stores.mlflow_home import new_home
from tests.stores.object_store import ObjectStore, running_store

settings.register_profile("house", deadline=None)  # how fast an example runs says how busy the machine is
settings.load_profile("house")

_GROUPS = {
    "first_retrain": "mini",
    "labelled_feed": "small_feed",
    "feed": "small_feed",
    "failure_world": "failures",
}
"""The group of whoever looks at a home or a world that is made once."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of a shared home in one process, and those of any other module in one process too.

    Otherwise several processes would make what the tests of a module share.
    """
    shared = {item.path for item in items if "first_retrain" in _fixtures(item)}
    for item in items:
        for fixture, group in _GROUPS.items():
            if fixture in _fixtures(item):
                item.add_marker(pytest.mark.xdist_group(group))
                break
        else:
            if "mini_world" in _fixtures(item) or item.get_closest_marker("xdist_group") is None:
                group = "mini" if item.path in shared else item.path.stem.removeprefix("test_")
                item.add_marker(pytest.mark.xdist_group(group))


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """A server with buckets, for every test that asks for one: each takes an empty bucket of its own."""
    with running_store() as running:
        yield running


@pytest.fixture(scope="session")
def labelled_feed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    return small_feed(tmp_path_factory.mktemp("small_feed"))


@pytest.fixture(scope="session")
def released(labelled_feed: tuple[Workspace, str]) -> ReleaseResult:
    """The labelled feed's release."""
    return small_release.released(labelled_feed)


@pytest.fixture(scope="session")
def mini_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole log."""
    out = tmp_path_factory.mktemp("mini_world") / mini.NAME
    generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=out)
    return out


@pytest.fixture(scope="session")
def mini_surfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mini.write_contracts(tmp_path_factory.mktemp("mini_surfaces"))


@pytest.fixture(scope="session")
def first_retrain(
    mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory
) -> Retrained:
    workspace = mini.with_log(mini_surfaces, mini_world, tmp_path_factory.mktemp("mini_first"))
    return Retrained.run(workspace, as_of=AS_OF)


@pytest.fixture(scope="session")
def repeated(first_retrain: Retrained) -> Retrained:
    return Retrained.run(first_retrain.workspace, as_of=AS_OF)


@pytest.fixture(scope="session")
def second_retrain(
    repeated: Retrained, mini_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Retrained:
    """Clicks alone are trained anew; the champion lends the rest."""
    mini.set_champion(repeated.workspace, 1)
    shutil.copytree(mini_world, local(repeated.workspace.logs / mini.NAME), dirs_exist_ok=True)
    workspace = mini.changed(
        repeated.workspace, tmp_path_factory.mktemp("mini_second"), utility=mini.version_2
    )
    return Retrained.run(workspace, as_of=LATER, tasks=["click_30m"])


@pytest.fixture(scope="session")
def killed(mini_world: Path, mini_surfaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A home whose log holds the later days too, retrained as of AS_OF and its release promoted."""
    folder = tmp_path_factory.mktemp("mini_killed")
    home = new_home(folder / "home")
    shutil.copytree(mini_world, home / "logs" / mini.NAME)
    workspace = Workspace.open(mini.NAME, surfaces=mini_surfaces, home=home)
    return mini.retrain_and_promote_killed(workspace, folder, seed=11)
