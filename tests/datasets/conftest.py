"""Small downloads of the public data sets, which a test changes in one place."""

import pytest

from tests.datasets.journey_tables import Journey
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
    """Household 1 shops at store 10, household 2 at store 20; weeks 14 and 15 have a front page."""
    made = Journey()
    for week in (5, 11, 13):
        made.buys(1, 100, week, value=2.0)
    made.buys(1, 101, 13, days=3.0, value=9.0, quantity=3)
    made.buys(1, 103, 12, store=20)
    made.buys(2, 103, 13, store=20, value=1.5)
    made.buys(1, 100, 14, days=0.5, value=2.5)
    made.buys(2, 103, 15, store=20, days=6.5)
    made.fronts(14, [100, 101, 102])
    made.fronts(14, [103], store=20, display="7")
    made.fronts(15, [100])
    made.fronts(15, [103], store=20)
    return made


@pytest.fixture
def made() -> Journey:
    """Only a stranger so far, who shops where nothing is promoted: there is no import without events."""
    made = Journey()
    made.buys(9, 103, 14, store=99)
    return made
