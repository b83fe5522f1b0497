"""Parse the command line, run the command and print its result.

stdout has the result, as text or with ``--json`` as one JSON document; progress and logs go to stderr. Exit
codes: 0 success, 1 a negative verdict, 2 invalid usage, contract or data, 3 a failure of a store, a service
or the program itself.

A terminal shows one progress line: the current step, the share done, the elapsed time, and an estimate of the
rest. It appears after two seconds and is removed before the result is printed. ``--json`` disables it.

Refusals of the operating system and unexpected errors end a command.

::

    a file or folder that this user may not read or write, a read-only disk    ContractError, exit code 2
    a disk that is full or fails, a quota, a limit on the size of files        StoreError, exit code 3
    any other error            one message, exit code 3, the traceback in <home>/faults/

The first two can occur in any step, and libraries wrap them in their own errors. They are therefore searched
once, in the error that ended a command and in its causes. Python's default exit code for an error is 1, which
is the code of a negative verdict here.
"""

import errno
import gc
import logging
import os
import re
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Annotated, Any, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from typer import Exit, Option, Typer, TyperException
from typer.main import get_command

from tasks.cli import (
    data_commands,
    experiment_commands,
    label_commands,
    model_commands,
    operate_commands,
    policy_commands,
    promotion_commands,
    release_commands,
)
from tasks.cli.command import PROGRAM, Call, HelpfulGroup
from tasks.cli.text import PrintableFormatter, as_json, as_plain, as_printable, as_text
from tasks.errors import ContractError, EquipoiseError, StoreError, UsageError
from tasks.privacy import withhold_from_others
from tasks.progress import listening
from tasks.settings import Settings

_QUIET_SECONDS: Final = 2.0


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the current stderr, which is above the progress line while there is one."""

    @property
    def stream(self) -> object:
        """The current standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None: ...


class _Line(Progress):
    """The progress line of one command."""

    def __init__(self, command: str) -> None:
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
        )
        self.task = self.add_task(command, total=None, left="")

    def tell(self, words: tuple[str, ...], share: float) -> None:
        """Show the step that begins."""
        elapsed = self.tasks[0].elapsed or 0.0
        left = f"about {_format_seconds(elapsed * (1 - share) / share)} left" if share else ""
        self.update(self.task, description=" ".join(words), total=1.0, completed=share, left=left)


@contextmanager
def progress_line(command: str, *, shown: bool) -> Iterator[None]:
    """Show the progress of a command on a terminal while the body runs."""
    if not (shown and sys.stderr.isatty()):
        yield
        return
    line = _Line(command)
    timer = Timer(_QUIET_SECONDS, line.start)
    timer.daemon = True
    timer.start()
    try:
        with listening(line.tell):
            yield
    finally:
        timer.cancel()
        timer.join()
        line.stop()


def _format_seconds(seconds: float) -> str:
    """Format a rough duration.

    Examples
    --------
    >>> _format_seconds(8.4), _format_seconds(75), _format_seconds(4000)
    ('8 s', '1 min', '1 h 7 min')
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


STOPPED: Final = 130
_PYDANTIC: Final = "Value error, "
"""Prefix of pydantic's messages, which Typer shows for invalid values."""
_COLLECTED: Final = (50_000, 20, 50)
"""Thresholds of garbage collection: Python's defaults collect often during imports and free little."""
MODULES: Final = (
    data_commands,
    label_commands,
    model_commands,
    release_commands,
    promotion_commands,
    experiment_commands,
    policy_commands,
    operate_commands,
)
"""The modules in the order of the help, which is the order of the work."""


@dataclass(frozen=True)
class CallResult:
    """The result of a call as plain data, and its exit code."""

    call: Call
    plain: Any
    code: int


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer's callback
    if asked:
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        raise Exit


def application() -> Typer:
    """Return the parser with every group and its commands."""
    app = Typer(
        cls=HelpfulGroup,
        help="Retrain a multi-task, multi-objective ranker and decide whether the result may serve.",
        epilog=f"example: {PROGRAM} retrain weekly_circular --as-of 2018-01-01T00:00:00Z",
        context_settings={"help_option_names": ["--help", "-h"]},
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
    )
    app.callback()(_options)
    for group in (group for module in MODULES for group in module.GROUPS):
        app.add_typer(group.typer, name=group.word, help=group.help, rich_help_panel=group.heading)
    return app


def _options(
    *,
    version: Annotated[
        bool, Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Define the options before the command."""


def parse(argv: Sequence[str] | None) -> Call:
    """Parse a command with its arguments, without running it."""
    try:
        call = get_command(application()).main(argv, prog_name=PROGRAM, standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        typed = context.command_path if context else PROGRAM
        message = " ".join(error.format_message().replace(_PYDANTIC, "").split())
        stop = "" if message.endswith((".", "?")) else "."
        raise UsageError(f"{typed}: {message}{stop} See {typed} --help") from None
    except SystemExit:  # the parser exits if the reader of a help text closed the pipe
        raise BrokenPipeError from None
    if isinstance(call, Call):
        return call
    raise SystemExit(call)


def answer(argv: Sequence[str] | None) -> CallResult:
    """Parse and run a command."""
    return answer_call(parse(argv))


def answer_call(call: Call) -> CallResult:
    """Run a parsed command."""
    with progress_line(call.command.name, shown=not call.arguments["json"]):
        result = call.run()
    return CallResult(call, as_plain(result), 0 if call.command.passed(result) else 1)


def main(
    argv: Sequence[str] | None = None, *, answer: Callable[[Sequence[str] | None], CallResult] = answer
) -> int:
    """Run one command and return its exit code; files it writes are not readable by other users."""
    gc.set_threshold(*_COLLECTED)
    open_closed_streams()
    withhold_from_others()
    logs = StderrHandler()
    logs.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[logs], force=True)
    logging.getLogger("equipoise").setLevel(logging.INFO)
    try:
        require_working_folder()
        given = answer(argv)
        command, json = given.call.command, given.call.arguments["json"]
        shown = as_json(given.plain) if json else as_text(command.written(as_printable(given.plain)))
        _print(shown)
    except BrokenPipeError:  # the reader closed the pipe
        return 0
    except SystemExit:  # help was printed
        raise
    except BaseException as error:  # noqa: BLE001 - any unexpected error, also a panic of a Rust library
        if was_stopped(error):
            print("stopped", file=sys.stderr)
            return STOPPED
        if refusal := find_refusal(error):
            return _refuse(refusal)
        if isinstance(error, EquipoiseError):
            return _refuse(error)
        print(report_fault(error, sys.argv[1:] if argv is None else argv), file=sys.stderr)
        return EXIT_CODE
    return given.code


def _print(shown: str) -> None:
    try:
        print(shown, flush=True)
    except OSError:  # Python would try to flush the rest again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _refuse(error: EquipoiseError) -> int:
    kind = "Usage error" if isinstance(error, UsageError) else type(error).__name__
    print(as_printable(f"{kind}: {error}"), file=sys.stderr)
    return error.exit_code


_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_OF_SQLITE: Final = {
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_OF_RUST: Final = re.compile(r"\(os error (\d+)\)")
_OF_C: Final = {os.strerror(number): number for number in (*_NOT_ALLOWED, *_NO_ROOM)}
_LONGEST_REFUSAL: Final = 400
_STDERR: Final = 2
_OF_DUCKDB: Final = "Query interrupted"
"""DuckDB's message in a RuntimeError when a signal ends a query."""


def find_refusal(error: BaseException) -> EquipoiseError | None:
    """Return the error for an operating system's refusal that ended a command, or None.

    Examples
    --------
    >>> str(find_refusal(PermissionError(13, "Permission denied", "/srv/state/locks"))).partition(". ")[0]
    "'/srv/state/locks': Permission denied"
    >>> find_refusal(ValueError("of the program's own")) is None
    True
    """
    if isinstance(error, EquipoiseError) and error.exit_code != StoreError.exit_code:
        return None
    for cause in _chain(error):
        number = _number(cause)
        if number in _NOT_ALLOWED:
            return ContractError(
                f"{_describe(error, cause)}. This user (uid {os.getuid()}) lacks permission: run the command "
                "as a user who has it, or choose other folders (--home, --surfaces, --out)"
            )
        if number in _NO_ROOM:
            return StoreError(
                f"{_describe(error, cause)}. The disk is full or fails, or a limit on files is "
                "reached: make room, then run the command again"
            )
    return None


def was_stopped(error: BaseException) -> bool:
    """Whether a person stopped the command (Ctrl-C), even if a library replaced the exception.

    Examples
    --------
    >>> was_stopped(RuntimeError("Query interrupted")), was_stopped(RuntimeError("of the program's own"))
    (True, False)
    """
    return any(isinstance(cause, KeyboardInterrupt) or str(cause) == _OF_DUCKDB for cause in _chain(error))


def require_working_folder() -> None:
    """Raise ContractError if the current folder was removed, since relative paths cannot be resolved."""
    try:
        Path.cwd()
    except OSError as error:
        raise ContractError(
            f"The current folder was deleted ({error.strerror}), so no relative path can be read. Change to "
            "an existing one"
        ) from error


def open_closed_streams() -> None:
    """Open the standard streams that the caller closed (``>&-``) on the null device.

    Otherwise the next opened file would get the number of a closed stream, and receive what libraries print.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until exit


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        here = here.__cause__ or here.__context__


def _number(error: BaseException) -> int | None:
    """Return the error number of the system; libraries in Rust and C++ contain it only in their text."""
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if isinstance(error, EquipoiseError):  # its cause is more specific
        return None
    text = str(error)
    if found := _OF_RUST.search(text):
        return int(found[1])
    return next((number for words, number in _OF_C.items() if words in text), None)


def _describe(error: BaseException, cause: BaseException) -> str:
    """Return the message of the step if there is one, else the system's."""
    if isinstance(error, EquipoiseError):
        return str(error).rstrip(".")
    if isinstance(cause, OSError) and cause.errno and cause.filename:
        return f"'{cause.filename}': {cause.strerror}"
    return " ".join(str(cause).split())[:_LONGEST_REFUSAL].rstrip(".")


EXIT_CODE: Final = 3
_LONGEST_FAULT: Final = 500
"""Maximum characters of an error message that are printed: about a terminal's screen."""


def report_fault(error: BaseException, words: Sequence[str]) -> str:
    """Write the traceback to a file and return the message; ``words`` are the command line's arguments."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_FAULT]
    summary = as_printable(text)
    try:
        kept = f"Its traceback is in {write_traceback(error, find_home(words))}"
    except OSError as failure:
        kept = f"Its traceback could not be written ({failure})"
    return f"Unexpected {summary} - a fault of the program, not a verdict. {kept}"


def find_home(words: Sequence[str]) -> Path:
    """Return the state folder of the command line, even if its arguments are invalid.

    Examples
    --------
    >>> find_home(["check", "--home", "/srv/state"]), find_home(["--home=/srv/state"])
    (PosixPath('/srv/state'), PosixPath('/srv/state'))
    """
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--home" and following:
            return Path(following).absolute()
        if word.startswith("--home="):
            return Path(word.removeprefix("--home=")).absolute()
    return Settings().home


def write_traceback(error: BaseException, home: Path) -> Path:
    """Write an error's traceback to a new file below a home, and return its path."""
    folder = home / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{os.getpid()}-"
    descriptor, path = tempfile.mkstemp(prefix=name, suffix=".txt", dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(traceback.format_exception(error))
    return Path(path)
