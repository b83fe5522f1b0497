"""The page on simulations: its commands are run on the retrained small feed, and print what it shows."""

import doctest
from pathlib import Path

import pytest

from tasks.cli import main
from tests.docs.pages import DOCS, blocks, examples
from tests.feeds.mini import Retrained

PAGE = DOCS / "read_a_simulation.md"


@pytest.fixture
def folder(second_retrain: Retrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's proposal, in which commands find the home of the retrained feed."""
    workspace = second_retrain.workspace
    monkeypatch.setenv("EQUIPOISE_SURFACES", str(workspace.surfaces))
    monkeypatch.setenv("EQUIPOISE_HOME", str(workspace.home))
    (proposal,) = [block.text for block in blocks(PAGE) if block.language == "text"]
    (tmp_path / "utility-proposal.yaml").write_text(proposal, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_the_page_shows_is_what_its_commands_print(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare, run = doctest.OutputChecker(), 0
    for block in blocks(PAGE):
        for example in examples(block) if block.language == "console" else ():
            assert main(example.words) == 0
            printed = capsys.readouterr().out
            assert compare.check_output(example.printed, printed, doctest.ELLIPSIS), printed
            run += 1
    assert run == 2
