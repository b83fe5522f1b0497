"""The runbook of the night is typed as it stands there, on a home where a release went out in the evening."""

from collections.abc import Iterator

import pytest

from tasks.cli import main
from tasks.stores.workspace import Workspace
from tests.docs.pages import DOCS, blocks, examples
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.promotion.moves.moving import forget_moves, moved_aliases, promote_2

PAGE = DOCS / "roll_back.md"


@pytest.fixture
def evening(second_retrain: Retrained) -> Iterator[Workspace]:
    workspace = second_retrain.workspace
    promote_2(workspace)
    yield workspace
    forget_moves(workspace)
    mini.set_champion(workspace, 1)


def test_every_command_of_the_night_does_what_the_page_says(
    evening: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--surfaces", str(evening.surfaces), "--home", str(evening.home)]
    typed = [one.words for block in blocks(PAGE) if block.language == "console" for one in examples(block)]
    assert [words[0] for words in typed] == ["rollback", "release", "release", "release"]
    for words in typed:
        by = ["--by", "ana"] if words[0] == "rollback" else []
        assert main([*words, *by, *where]) == 0
        if by:
            said = capsys.readouterr().out.strip()
            assert said == "champion: 2 -> 1 (rollback by ana: hides rose since the evening)"
            assert f"`{said}`" in PAGE.read_text(encoding="utf-8")
    assert moved_aliases(evening) == {"champion": 1, "previous": 1}
    assert "rollback  2 -> 1  by ana" in capsys.readouterr().out
