"""A utility policy, shown as a document and as text."""

import json
from pathlib import Path

import pytest

from tasks.cli import main
from tests.feeds import small_feed


def test_every_context_is_shown_in_units_of_the_outcome_that_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_feed.write_contracts(tmp_path)
    words = ["policy", "show", small_feed.NAME, "--surfaces", str(tmp_path), "--home", str(tmp_path / "home")]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    base = document["contexts"][0]
    (unit,) = (term for term in base["terms"] if term["task"] == document["unit"])
    assert unit["worth"] == 1
    assert base["context"] == "base"
    assert main([*words, "--unit", "nothing"]) == 2
    assert "Unknown unit 'nothing'" in capsys.readouterr().err
