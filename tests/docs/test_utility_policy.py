"""The page on utility policies and slates: every example is run and prints what it shows."""

import doctest

from tests.docs.pages import DOCS

PAGE = DOCS / "utility_policy.md"


def test_every_example_prints_what_it_shows() -> None:
    ran = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert ran.attempted > 20
    assert not ran.failed
