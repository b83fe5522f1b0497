"""What nobody foresaw ends in one message and exit code 3; its traceback is kept in the home."""

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.cli import main
from tasks.cli.program import Answer


def fail(_: Sequence[str] | None) -> Answer:
    raise ZeroDivisionError("a line\nand \x1b[31manother " + "x" * 10_000)


def test_it_is_one_message_with_exit_code_3_and_the_traceback_is_in_the_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--home", str(tmp_path)], answer=fail) == 3
    printed = capsys.readouterr()
    (file,) = (tmp_path / "faults").iterdir()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "\x1b" not in printed.err
    assert printed.err.startswith("Unexpected ZeroDivisionError: a line and ")
    assert printed.err.endswith(f"Its traceback is in {file}\n")
    assert "in fail" in file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_where_the_home_cannot_be_written_the_message_still_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    assert main(["check", f"--home={tmp_path / 'home'}"], answer=fail) == 3
    assert "Its traceback could not be written" in capsys.readouterr().err


def test_two_faults_of_one_second_keep_both_tracebacks(tmp_path: Path) -> None:
    for _ in range(2):
        main(["check", "--home", str(tmp_path)], answer=fail)
    assert len(list((tmp_path / "faults").iterdir())) == 2
