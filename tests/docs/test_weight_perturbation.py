"""The page on perturbed weights is walked from top to bottom."""

from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.docs.walking import walk


def test_every_example_of_the_page_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert walk(DOCS / "weight_perturbation.md", capsys) == [0]
