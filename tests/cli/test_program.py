"""The program from what is typed to what is printed: documents, messages and exit codes."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command

from tasks.cli import main
from tasks.cli import program as line
from tasks.cli.program import STOPPED, CallResult, application, parse
from tasks.logs.session import session
from tasks.progress import report
from tests.contracts.files import write_surface

AS_OF = "2026-01-01T00:00:00Z"
HEAVY = (
    "mlflow",
    "lightgbm",
    "duckdb",
    "sklearn",
    "great_expectations",
    "pandas",
    "pyarrow",
    "tasks.contracts",
)


def test_a_command_is_read_without_being_run() -> None:
    call = parse(["train", "no_such_surface", "click", "--as-of", AS_OF])
    assert call.command.name == "train"
    assert call.arguments["as_of"].isoformat() == "2026-01-01T00:00:00+00:00"
    assert {name for name, value in call.arguments.items() if value} == {"surface", "task", "as_of"}


def test_options_may_stand_before_and_after_arguments() -> None:
    after = parse(["train", "feed", "click", "--as-of", AS_OF, "--json"])
    before = parse(["train", "--json", f"--as-of={AS_OF}", "--", "feed", "click"])
    assert before.arguments == after.arguments


@pytest.mark.parametrize(
    "words",
    [
        ["chek"],
        ["check", "fed"],
        ["check", "feed", "one too many"],
        ["labels", "buid"],
        ["retrain", "feed"],
        ["retrain", "feed", "--as-of", "yesterday"],
        ["retrain", "feed", "--as-of", "2026-01-01T00:00:00"],
        ["labels", "sql", "feed", "--dialect", "mysql"],
        ["labels", "build", "feed", "--as-of", AS_OF, "--from", "monday"],
        ["labels", "vacuum", "feed", "--keep", "a month"],
        ["release", "show", "feed", "champion", "--no-such-option"],
        ["world", "generate", "--days", "many"],
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_surface(tmp_path)
    where = ["--surfaces", str(tmp_path)] if words and words[0] in {"check", "retrain"} else []
    assert main([*words, *where]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("Usage error: " if words[0] != "check" or len(words) > 2 else "ContractError: ")


def test_a_message_on_wrong_use_names_the_nearest_command_and_the_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["labels", "buid"]) == 2
    assert capsys.readouterr().err == (
        "Usage error: equipoise labels: No such command 'buid'. Did you mean 'build'? "
        "See equipoise labels --help\n"
    )


def test_a_wrong_choice_is_told_what_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels", "sql", "feed", "--dialect", "mysql"]) == 2
    assert "'--dialect': 'mysql' is not one of 'duckdb', 'spark'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("bare", "asked"), [([], ["--help"]), (["labels"], ["labels", "--help"]), (["ope"], ["ope", "-h"])]
)
def test_a_bare_call_shows_the_help_and_is_no_error(
    bare: list[str], asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    printed = []
    for words in (bare, asked):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        printed.append(capsys.readouterr())
    assert printed[0] == printed[1]
    assert printed[0].out.startswith("Usage: equipoise")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"equipoise {version('equipoise')}\n"


def test_the_help_lists_every_command_with_its_whole_synopsis_under_six_headings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    headings = ["Data", "Labels", "Train", "Release", "Policy", "Operate"]
    assert [line[:-1] for line in printed.splitlines() if line[:-1] in headings] == headings
    in_one_line = " ".join(printed.split())
    for name, command in vars(get_command(application()))["commands"].items():
        assert f" {name} {' '.join(command.help.split())}" in in_one_line


@pytest.mark.parametrize(
    ("typed", "completed"), [("equipoise la", "labels"), ("equipoise labels vac", "vacuum")]
)
def test_bash_completes_commands(typed: str, completed: str) -> None:
    shell = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from tasks.cli import main; sys.exit(main())"],
        env={**os.environ, **shell, "_EQUIPOISE_COMPLETE": "complete_bash"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [completed]


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_carries_an_example(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["labels", "build", option])
    assert ended.value.code == 0
    assert "example: equipoise labels build home_feed --as-of" in capsys.readouterr().out


def test_a_verdict_that_says_no_is_exit_code_1_and_its_document_is_all_of_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_surface(tmp_path, lambda files: files["utility"]["weights"].update(click=-1.0))
    assert main(["check", "--surfaces", str(root), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["valid"] is False


def test_stopped_by_a_person_it_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def stop(_: Sequence[str] | None) -> CallResult:
        raise KeyboardInterrupt

    assert main([], answer=stop) == STOPPED == 130
    assert capsys.readouterr().err == "stopped\n"


def test_stopped_in_a_query_it_is_stopped_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(_: Sequence[str] | None) -> CallResult:
        with session(tmp_path, threads=1) as connection:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            connection.execute("SELECT sum(hash(a.range + b.range)) FROM range(1000000) a, range(1000000) b")
        pytest.fail("the query would take hours")

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        assert main([], answer=answer) == STOPPED
    finally:
        signal.signal(signal.SIGALRM, before)
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("words", [["release", "show", "fed", "champion"], ["labels", "show", "fed"], ["plan", "fed", "--as-of", AS_OF]])  # fmt: skip
def test_an_unknown_surface_is_called_that(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_surface(tmp_path)
    assert main([*words, "--surfaces", str(tmp_path), "--home", str(tmp_path / "home")]) == 2
    assert "Unknown surface 'fed'" in (said := capsys.readouterr().err)
    assert "Did you mean 'feed'?" in said


def test_a_day_in_place_of_an_instant_gets_a_hint_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrain", "feed", "--as-of", "2023-03-03"]) == 2
    assert "as 2023-03-03T00:00:00Z" in capsys.readouterr().err
    assert parse(["retrain", "feed", "--as-of", "2023-03-03T00:00:00Z"])


def test_what_a_folder_is_called_steers_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_surface(tmp_path)
    (root / "feed").rename(root / "\x1b[2Jfeed\u202e")
    assert main(["check", "--surfaces", str(root)]) == 1
    assert main(["check", "fed", "--surfaces", str(root)]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert "\\x1b[2Jfeed\\u202e" in text
        assert not {"\x1b", "\u202e"} & set(text)


def test_help_waits_for_no_library_that_only_steps_need() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from tasks.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


@pytest.mark.parametrize("words", ["settings", "--help", "labels build --help"])
def test_a_reader_that_has_seen_enough_is_no_error(words: str) -> None:
    command = f"{sys.executable} -m tasks.cli {words} | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_a_command_writes_is_not_readable_by_everybody(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert main(["settings"]) == 0
        (tmp_path / "written").touch()
        assert (tmp_path / "written").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


_RUN = """
import logging, sys, time
from tasks.cli import program as line
from tasks.progress import report
line._QUIET_SECONDS = 0.05
log = logging.getLogger("equipoise")
logging.basicConfig(handlers=[line.StderrHandler()], force=True)
with line.progress_line("retrain", shown=True):
    report("train", "click", done=1, of=4)
    time.sleep(0.6)
    log.warning("a warning above the line")
    report("gate", done=3, of=4)
    time.sleep(0.6)
print("release 1")
"""


def on_a_terminal(code: str) -> str:
    """Run Python on a pseudo-terminal; return what was written there."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    written = b""
    while True:
        try:
            written += (read := os.read(ours, 65_536))
        except OSError:  # Linux's end of a terminal
            break
        if not read:
            break
    os.close(ours)
    assert done.wait() == 0
    return written.decode()


def test_a_terminal_shows_step_share_time_and_estimate_and_the_line_is_gone_at_the_end() -> None:
    written = on_a_terminal(_RUN)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert re.search(r"train click .* 25% 0:00:00 about \d+ s left", plain)
    assert re.search(r"gate .* 75% ", plain)
    assert "a warning above the line\r\n" in plain
    assert written.endswith("\x1b[2Krelease 1\r\n")


@pytest.mark.parametrize("shown", [True, False])
def test_nothing_is_written_off_a_terminal(
    shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(line, "_QUIET_SECONDS", 0.0)
    with line.progress_line("plan", shown=shown):
        report("log", done=0, of=2)
    assert capfd.readouterr() == ("", "")


def test_a_document_on_a_terminal_comes_without_a_line(tmp_path: Path) -> None:
    code = (
        "from tasks.cli import main, program as line\nline._QUIET_SECONDS = 0.0\n"
        f"main(['check', '--json', '--surfaces', {str(tmp_path)!r}, '--home', {str(tmp_path)!r}])"
    )
    assert on_a_terminal(code).startswith("{")
