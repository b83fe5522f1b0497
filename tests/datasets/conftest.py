"""Small downloads of the public data sets, which a test changes in one place."""

import pytest

from tests.datasets.journey_tables import Journey, two_households
from tests.datasets.kuairand_tables import Download, moment


@pytest.fixture
def download() -> Download:
    """Two users and two videos on three days; user 1 comes back on each, user 2 on the third."""
    made = Download.of()
    made.shows(1, 100, moment(0), "is_click", "long_view", play_time_ms=20_000)
    made.shows(1, 101, moment(0, 13))
    made.shows(2, 100, moment(0, 15), "is_click", play_time_ms=8_000)
    made.shows(1, 101, moment(1), "is_click", "is_like", play_time_ms=9_000)
    made.shows(1, 100, moment(2))
    made.shows(2, 101, moment(2, 23.9))
    return made


@pytest.fixture
def journey() -> Journey:
    return two_households()


@pytest.fixture
def made() -> Journey:
    """Only a stranger so far, who shops where nothing is promoted: there is no import without events."""
    made = Journey()
    made.buys(9, 103, 14, store=99)
    return made
