from pathlib import Path

import pytest

from tasks.cli import main
from tasks.cli.program import MODULES, parse
from tasks.cli.promotion_commands import GROUPS


def test_the_commands_stand_under_the_heading_of_releases() -> None:
    assert {group.heading for group in GROUPS} == {"Release"}
    assert any(module.GROUPS is GROUPS for module in MODULES)


def test_an_answer_is_an_approval_unless_it_says_reject() -> None:
    words = ["approve", "home_feed", "3", "--role", "safety", "--why", "hides rose"]
    assert [parse(typed).arguments["reject"] for typed in (words, [*words, "--reject"])] == [False, True]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["approve", "home_feed", "3", "--why", "it is sound"], "--role"),
        (["approve", "home_feed", "3", "--role", "safety"], "--why"),
        (["promote", "home_feed", "3"], "--why"),
        (["rollback", "home_feed"], "--why"),
    ],
)
def test_what_lacks_is_named(words: list[str], missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert f"Missing option '{missing}'" in capsys.readouterr().err


def test_a_case_cannot_be_of_the_future(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--surfaces", str(tmp_path), "--home", str(tmp_path)]
    assert main(["promote", "feed", "3", "--why", "w", "--as-of", "2999-01-01T00:00:00Z", *where]) == 2
    assert "2999-01-01" in capsys.readouterr().err
