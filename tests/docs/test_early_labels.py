"""The page on immature labels prints what it says, with the limits of the code."""

import doctest

from tasks.monitoring.drift_alarms import GAP, HISTORY, REFERENCE
from tasks.monitoring.early_estimates import LEAST_DAYS, MATURED_DAYS
from tests.docs.pages import DOCS

PAGE = DOCS / "early_labels.md"


def test_every_example_prints_what_the_page_says() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert (found.failed, found.attempted) == (0, 16)


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"the {MATURED_DAYS} newest matured days" in page
    assert f"there is none before {LEAST_DAYS} of them" in page
    assert f"with the {REFERENCE} days that ended {GAP} days earlier" in page
    assert f"fewer than {HISTORY} days only levels are shown" in page
