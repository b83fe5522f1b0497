"""What nobody foresaw ends in one message and exit code 3, in every command; its traceback is kept in the home."""

import shlex
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest
from typer.main import get_command

from tasks.cli import main
from tasks.cli.command import PROGRAM
from tasks.cli.program import Answer, application, parse

SURFACES = Path(__file__).parents[2] / "surfaces"


def examples(command: object, words: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command of the parser's tree with the arguments of the example in its help."""
    for name, child in getattr(command, "commands", {}).items():
        yield from examples(child, f"{words} {name}".strip())
    if epilog := getattr(command, "epilog", None):
        yield words, epilog.removeprefix(f"example: {PROGRAM} {words}".rstrip())


EXAMPLES = {words: shlex.split(example) for words, example in examples(get_command(application())) if words}


def fail(_: Sequence[str] | None) -> Answer:
    raise ZeroDivisionError("a line\nand \x1b[31manother " + "x" * 10_000)


class Panic(BaseException):
    """What a library in Rust raises where it gives up: no Exception."""


@contextmanager
def failing_in(code: CodeType) -> Iterator[None]:
    """Let a function fail as soon as it is called, as if its first line did."""

    def fail(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is code:
            raise ZeroDivisionError("nobody foresaw this")

    sys.setprofile(fail)
    try:
        yield
    finally:
        sys.setprofile(None)


def test_the_walk_meets_every_group_of_commands() -> None:
    assert len(EXAMPLES) > 25
    assert {"check", "retrain", "promote", "labels build", "release verify", "world generate"} <= set(
        EXAMPLES
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_error_inside_any_command_is_one_message_exit_code_3_and_a_report_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EQUIPOISE_HOME", raising=False)
    words = [*name.split(), *EXAMPLES[name], "--surfaces", str(SURFACES)]
    with failing_in(parse(words).command.function.__code__):
        assert main(words) == 3
    printed = capsys.readouterr()
    (report,) = tmp_path.glob("*/faults/*")
    assert printed.out == ""
    assert printed.err == (
        "Unexpected ZeroDivisionError: nobody foresaw this - a fault of the program, not a verdict. "
        f"Its traceback is in {report}\n"
    )
    assert "nobody foresaw this" in report.read_text(encoding="utf-8")


def test_a_panic_of_a_library_is_one_message_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def panic(_: Sequence[str] | None) -> Answer:
        raise Panic("called `Option::unwrap()` on a `None` value")

    assert main(["check", "--home", str(tmp_path)], answer=panic) == 3
    assert capsys.readouterr().err.startswith("Unexpected Panic: called `Option::unwrap()`")


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
