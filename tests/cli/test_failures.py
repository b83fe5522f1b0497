"""What the machine refuses is one message with the way out, whichever library met it and whatever wrapped it."""

import errno
import os
import resource
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import CodeType, FrameType

import pytest
from typer.main import get_command

from tasks.cli import main
from tasks.cli.command import PROGRAM
from tasks.cli.program import CallResult, application, find_refusal, parse
from tasks.errors import ContractError, DataError, EquipoiseError, StoreError
from tasks.release.step import ReleaseResult
from tasks.stores.database import database_of
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace
from tests.cli.conftest import Reader

FULL = Path("/dev/full")
SURFACES = Path(__file__).parents[2] / "surfaces"
READING = (
    "list",
    "list beside a writer",
    "show",
    "verify",
    "history",
    "labels show",
    "labels explain",
    "score",
    "explain",
)
WRITING = ("labels build", "simulate", "promote", "rollback", "backup")
READER = """
import contextlib, io, sys, tempfile
from pathlib import Path
from tasks.cli import main

folder, surfaces = Path(sys.argv[1]), sys.argv[2]
log, new = folder / "home/logs/small_feed/impressions/a.parquet", Path(tempfile.mkdtemp())
candidates = ["--release", "1", "--input", str(log)]
AS_OF = ["--as-of", "2026-02-16T00:00:00Z"]
WORDS = {
    "list": ["release", "list", "small_feed"],
    "list beside a writer": ["release", "list", "small_feed", "--home", str(folder / "written")],
    "show": ["release", "show", "small_feed", "1"],
    "verify": ["release", "verify", "small_feed", "1"],
    "history": ["release", "history", "small_feed"],
    "labels show": ["labels", "show", "small_feed"],
    "labels explain": ["labels", "explain", "small_feed", "--impression", "ra0/ia0"],
    "score": ["score", "small_feed", *candidates, "--out", str(new / "scored.parquet")],
    "explain": ["explain", "small_feed", *candidates, "--request", "ra0"],
    "labels build": ["labels", "build", "small_feed", *AS_OF],
    "simulate": ["simulate", "small_feed", "--release", "1"],
    "promote": ["promote", "small_feed", "1", "--why", "it is better", "--by", "ana"],
    "rollback": ["rollback", "small_feed", "--why", "returns rose", "--by", "ana"],
    "backup": ["backup", "--out", str(new / "backup")],
}
for name, words in WORDS.items():
    home = [] if "--home" in words else ["--home", str(folder / "home")]
    with contextlib.redirect_stdout(io.StringIO()):
        code = main([*words, *home, "--surfaces", surfaces])
    print(name, code, flush=True)
"""


WRITERS = """
import sqlite3, sys
from pathlib import Path
from deltalake import write_deltalake
from pyarrow import table
from tasks.cli.program import find_refusal

def write_python(folder):
    (folder / "x").write_text("x")

def write_delta(folder):
    write_deltalake(str(folder / "x"), table({"a": [1]}))

def write_sqlite(folder):
    sqlite3.connect(f"file:{folder / 'x.db'}?mode=ro&immutable=1", uri=True).execute("CREATE TABLE t (a)")

for write in (write_python, write_delta, write_sqlite):
    try:
        write(Path(sys.argv[1]))
    except Exception as error:
        print(write.__name__, find_refusal(error).exit_code)
"""


def test_a_folder_that_may_not_be_written_is_exit_code_2_whatever_writes(
    tmp_path: Path, as_reader: Reader
) -> None:
    sqlite3.connect(tmp_path / "x.db").close()
    assert as_reader("-c", WRITERS, str(tmp_path)).stdout.splitlines() == [
        "write_python 2",
        "write_delta 2",
        "write_sqlite 2",
    ]


def test_a_full_disk_is_a_store_that_failed() -> None:
    with pytest.raises(OSError, match="No space left") as refused:
        FULL.write_text("x", encoding="utf-8")
    refusal = find_refusal(refused.value)
    assert isinstance(refusal, StoreError)
    assert "No space left on device. The disk is full" in str(refusal)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", [RuntimeError, StoreError])
def test_it_is_found_below_what_wrapped_it(number: int, wrapped: type[Exception]) -> None:
    error = wrapped("The step failed")
    error.__cause__ = OSError(number, os.strerror(number), "/srv/state/x")
    refusal = find_refusal(error)
    assert isinstance(refusal, EquipoiseError)
    assert refusal.exit_code == (3 if number in {errno.ENOSPC, errno.EDQUOT} else 2)
    assert ("The step failed" if wrapped is StoreError else "'/srv/state/x'") in str(refusal)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOENT, "No such file"), DataError("a value"), ContractError("a key"), KeyError("x")],
)
def test_everything_else_stays_what_it_is(error: Exception) -> None:
    assert find_refusal(error) is None


@pytest.mark.parametrize(
    "words", [["settings"], ["check"], ["labels", "show", "home_feed"], ["backup", "--out", "x"]]
)
def test_a_current_folder_that_was_removed_is_one_message_with_exit_code_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with monkeypatch.context() as here:
        here.chdir(gone)
        gone.rmdir()
        assert main(words) == 2
    assert capsys.readouterr().err == (
        "ContractError: The current folder was deleted (No such file or directory), so no relative path can be read. "
        "Change to an existing one\n"
    )


def test_a_result_that_finds_no_room_is_one_message() -> None:
    """Where the output ends on a full disk, also what Python flushes at its end says nothing more."""
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tasks.cli", "settings"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("StoreError: ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_with_closed_streams_a_command_works_and_no_file_takes_their_place(
    tmp_path: Path, closed: str
) -> None:
    opened = tmp_path / "number"
    program = (
        "import sys\nfrom pathlib import Path\nfrom tasks.cli import main\ncode = main(['settings'])\n"
        f"with Path({str(opened)!r}).open('w') as file:\n    file.write(str(file.fileno()))\nsys.exit(code)"
    )
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(opened.read_text()) > 2


@pytest.mark.parametrize("words", [["rollback", "home_feed"], ["promote", "home_feed", "1"]])
def test_a_person_without_a_name_is_asked_for_one(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)  # no machine has a name for it
    assert main([*words, "--why", "returns rose", "--surfaces", str(SURFACES)]) == 2
    assert capsys.readouterr().err == (
        "ContractError: This user has no name on this machine: give one with --by NAME\n"
    )


def test_who_may_only_read_can_list_show_verify_explain_and_score(
    labelled_feed: tuple[Workspace, str], released: ReleaseResult, tmp_path: Path, as_reader: Reader
) -> None:
    """Also while a writer has the database open; what writes says in one message that it may not."""
    home = tmp_path / "home"
    for kept in (labelled_feed[0].home, labelled_feed[0].surfaces):
        shutil.copytree(kept, tmp_path / kept.name)
    Store.open(home).registry.aliases(released.release)  # its owner has been there since it was copied
    shutil.copytree(home, tmp_path / "written")
    Store.open(tmp_path / "written").registry.aliases(released.release)
    with closing(sqlite3.connect(database_of(tmp_path / "written"))) as writer:
        writer.execute("UPDATE experiments SET last_update_time = 1")
        writer.commit()
        done = as_reader("-c", READER, str(tmp_path), str(tmp_path / "surfaces"))
    printed = done.stdout.splitlines()
    assert printed == [*(f"{name} 0" for name in READING), *(f"{name} 2" for name in WRITING)], done.stderr
    assert done.stderr.count("lacks permission: run the command as a user who has it") == len(WRITING)
    assert "Unexpected" not in done.stderr
    assert oct(home.stat().st_mode)[-3:] == "555", "nothing could be written"


def test_a_limit_on_the_size_of_files_ends_in_one_message(tmp_path: Path) -> None:
    few = shlex.split("world generate --days 3 --requests-per-day 50 --seed 1")
    words = [*few, "--out", str(tmp_path / "w")]
    done = subprocess.run(
        [sys.executable, "-m", "tasks.cli", *words, "--home", str(tmp_path / "home")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("StoreError: ")
    assert not (tmp_path / "home" / "faults").exists()


def examples(command: object, words: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command of the parser's tree with the arguments of the example in its help."""
    for name, child in getattr(command, "commands", {}).items():
        yield from examples(child, f"{words} {name}".strip())
    if epilog := getattr(command, "epilog", None):
        yield words, epilog.removeprefix(f"example: {PROGRAM} {words}".rstrip())


EXAMPLES = {words: shlex.split(example) for words, example in examples(get_command(application())) if words}


def fail(_: Sequence[str] | None) -> CallResult:
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
    def panic(_: Sequence[str] | None) -> CallResult:
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
