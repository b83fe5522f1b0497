"""The page on reliability reports: what its examples print, and pictures that are those of the code."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
        kept, now = (
            np.asarray(Image.open(BytesIO(png)).convert("RGB"), dtype=float)
            for png in ((DOCS / "pictures" / file).read_bytes(), drawn)
        )
        assert kept.shape == now.shape, f"{file}: run python -m tests.docs.reliability_pictures"
        assert np.abs(kept - now).mean() < 1.0, f"{file}: run python -m tests.docs.reliability_pictures"


def test_the_page_shows_each_picture_and_each_is_small() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file in PICTURES:
        assert f"](pictures/{file})" in text
        assert (DOCS / "pictures" / file).stat().st_size < 40_000
