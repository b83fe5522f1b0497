"""Some days of the soak: labelled, monitored, retrained, promoted and pruned by Airflow, they leave no file behind."""

import pytest

from benchmarks.soak.season import Calendar, Day, Soak
from benchmarks.soak.surfaces import add_surfaces
from tasks.stores.audit import Kind
from tasks.stores.store import Store
from tests.e2e.installation import Installation
from tests.feeds import mini

pytestmark = pytest.mark.xdist_group("own_surfaces")
CALENDAR = Calendar(days=4, retrain_every=4, policy_every=1, prune_every=4)


@pytest.fixture(scope="module")
def surface(installation: Installation) -> str:
    (name,) = add_surfaces(installation.surfaces, count=1, days=mini.DAYS, releases=1)
    return name


@pytest.fixture(scope="module")
def played(installation: Installation, surface: str) -> list[Day]:
    return list(Soak(installation, [surface], CALENDAR).play())


def test_no_day_leaves_a_file_that_nothing_names(played: list[Day]) -> None:
    assert {day.number: [*day.orphans] for day in played} == {1: [], 2: [], 3: [], 4: []}


def test_a_release_is_promoted_and_what_is_no_longer_needed_is_pruned(
    installation: Installation, surface: str, played: list[Day]
) -> None:
    rows = Store.open(installation.home).audit(surface).entries()
    moves = [(row.kind, row.release, row.champion) for row in rows if row.kind is not Kind.APPROVE]
    assert moves == [(Kind.PROMOTE, 1, None), (Kind.PRUNE, 1, 1)]


def test_services_open_fewer_files_in_two_days_than_they_run_steps(played: list[Day]) -> None:
    before, after = played[1].services, played[-1].services
    opened = {name: one.open_files - before[name].open_files for name, one in after.items()}
    assert max(opened.values()) < 8, opened
