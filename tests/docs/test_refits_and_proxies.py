"""The page on refits and proxies prints what it says."""

import doctest

from tests.docs.pages import DOCS


def test_every_example_prints_what_the_page_says() -> None:
    page = DOCS / "refits_and_proxies.md"
    found = doctest.testfile(str(page), module_relative=False)
    assert (found.failed, found.attempted) == (0, 11)
