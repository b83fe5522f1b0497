"""The page on the monitor names the limits of the code."""

from tasks.monitoring.alarms import GAP, HISTORY, REFERENCE
from tasks.monitoring.early import LEAST_DAYS, MATURED_DAYS
from tests.docs.pages import DOCS


def test_the_limits_that_the_page_names_are_those_of_the_code() -> None:
    page = " ".join((DOCS / "monitor.md").read_text(encoding="utf-8").split())
    assert f"the {MATURED_DAYS} newest matured days" in page
    assert f"there is none before {LEAST_DAYS} of them" in page
    assert f"with their {REFERENCE} days that ended {GAP} days ago" in page
    assert f"Below {HISTORY} days of history there are levels only" in page
