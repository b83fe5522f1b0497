"""A policy's text: worth beside each weight, and of a context what it changes alone."""

from pathlib import Path

import pytest

from tasks.cli import main

SURFACES = Path(__file__).parents[2] / "surfaces"


def test_a_context_shows_what_it_changes_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "show", "home_feed", "--surfaces", str(SURFACES), "--unit", "click_30m"]) == 0
    whole, _, contexts = capsys.readouterr().out.partition("checkout where page is checkout changes:")
    assert "report_7d -150 -187.5" in " ".join(whole.split())
    assert "12.5 for each of margin" in whole
    assert "max_per creator 2 category 4" in " ".join(whole.split())
    assert "25 for each of margin" in contexts
    assert "report_7d" not in contexts
    assert "slate" not in contexts
