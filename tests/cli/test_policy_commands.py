"""A utility policy, shown as a document and as text."""

import json
from pathlib import Path

import pytest

from tasks.cli import main
from tests.cli.conftest import Document
from tests.feeds import mini, small_feed
from tests.feeds.mini import Retrained


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


def test_two_policies_are_compared_in_one_document(second_retrain: Retrained, document: Document) -> None:
    workspace = second_retrain.workspace
    file = str(workspace.surfaces / mini.NAME / "utility.yaml")
    found = document(workspace, "policy", "diff", mini.NAME, "2", file, "--release", "1")
    assert (found["before"]["name"], found["after"]["name"], found["release"]) == ("release 2", file, 1)
    assert found["replaced"]["value"] == 0.0  # release 2 was made under this very file
    assert found["examples"] == []
    assert {one["up"] + one["down"] for one in found["movers"]} == {0}
    assert Path(found["report"]).exists()
    document(workspace, "policy", "show", mini.NAME)


def test_what_is_no_policy_is_named(second_retrain: Retrained, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = second_retrain.workspace
    where = ["--surfaces", str(workspace.surfaces), "--home", str(workspace.home)]
    assert main(["policy", "diff", mini.NAME, "2", "nowhere.yaml", *where]) == 2
    assert "'nowhere.yaml' is neither a release of home_feed nor a file" in capsys.readouterr().err
