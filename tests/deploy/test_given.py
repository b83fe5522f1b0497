import sys

import pytest

from tasks.deploy.given import errors_told, read_words
from tasks.errors import StoreError


@pytest.mark.parametrize(
    ("given", "profile", "words"),
    [
        (["release", "list", "feed"], "embedded", ["release", "list", "feed"]),
        (["--profile", "production", "dags", "list"], "production", ["dags", "list"]),
        (["dags", "--profile", "mine"], "embedded", ["dags", "--profile", "mine"]),
    ],
)
def test_what_follows_the_first_word_belongs_to_the_other_program(
    monkeypatch: pytest.MonkeyPatch, given: list[str], profile: str, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["program", *given])
    assert read_words("tasks.deploy.command", "Runs it.", words="as after it") == (profile, words)


def test_an_error_of_ours_ends_the_program_with_its_message_and_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended, errors_told():
        raise StoreError("the parts do not run")
    assert ended.value.code == StoreError.exit_code
    assert capsys.readouterr().err == "StoreError: the parts do not run\n"


def test_any_other_error_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), errors_told():
        _ = 1 / 0
