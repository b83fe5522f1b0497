"""The page on reliability reports: what its examples print, and pictures that are those of the code."""

from typing import Any

import pytest

from tests.docs.pages import DOCS
from tests.docs.reliability_pictures import PAGE, PICTURES, pictures, run_page


@pytest.fixture(scope="module")
def made() -> tuple[int, dict[str, Any]]:
    results, names = run_page()
    assert results.attempted > 15
    return results.failed, names


def test_every_example_prints_what_the_page_says(made: tuple[int, dict[str, Any]]) -> None:
    assert made[0] == 0


def test_the_pictures_are_those_that_the_page_s_code_draws(made: tuple[int, dict[str, Any]]) -> None:
    for file, drawn in pictures(made[1]).items():
        kept = (DOCS / "pictures" / file).read_text(encoding="utf-8")
        assert kept == drawn, f"{file}: run python -m tests.docs.reliability_pictures"


def test_the_page_shows_each_picture_and_each_is_small() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file in PICTURES:
        assert f"](pictures/{file})" in text
        assert (DOCS / "pictures" / file).stat().st_size < 40_000
