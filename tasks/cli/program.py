"""Reads what was typed, runs it and prints its result.

stdout carries the result, as text for people or with ``--json`` as one JSON document; progress and logs go
to stderr. Exit codes: 0 done, 1 a verdict that says no, 2 wrong use, contract or data, 3 a store, a service
or the program itself failed.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from typer import Exit, Option, Typer, TyperException
from typer.main import get_command

from tasks.cli import (
    data_commands,
    experiment_commands,
    label_commands,
    model_commands,
    monitor_commands,
    ope_commands,
    policy_commands,
    promotion_commands,
    release_commands,
    settings_commands,
    tune_commands,
)
from tasks.cli.command import PROGRAM, Call, HelpfulGroup
from tasks.cli.failures import (
    EXIT_CODE,
    find_refusal,
    open_closed_streams,
    report_fault,
    require_working_folder,
    was_stopped,
)
from tasks.cli.progress_line import StderrHandler, progress_line
from tasks.cli.text import PrintableFormatter, as_json, as_plain, as_printable, as_text
from tasks.errors import EquipoiseError, UsageError
from tasks.privacy import withhold_from_others

STOPPED: Final = 130
_PYDANTIC: Final = "Value error, "
"""What pydantic, by which typer reads values, begins its messages with."""
_COLLECTED: Final = (50_000, 20, 50)
"""Thresholds of garbage collection: with those of Python it runs often during imports and finds little."""
MODULES: Final = (
    data_commands,
    label_commands,
    model_commands,
    release_commands,
    promotion_commands,
    experiment_commands,
    policy_commands,
    tune_commands,
    ope_commands,
    monitor_commands,
    settings_commands,
)
"""In the order of the help, that of the work."""


@dataclass(frozen=True)
class CallResult:
    """What a call came to: its result as plain data, and its exit code."""

    call: Call
    plain: Any
    code: int


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer's callback
    if asked:
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        raise Exit


def application() -> Typer:
    """Return the program's parser: every group with its commands."""
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
    """Take what stands before a command."""


def parse(argv: Sequence[str] | None) -> Call:
    """Read a command with its arguments; nothing runs."""
    try:
        call = get_command(application()).main(argv, prog_name=PROGRAM, standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        typed = context.command_path if context else PROGRAM
        message = " ".join(error.format_message().replace(_PYDANTIC, "").split())
        stop = "" if message.endswith((".", "?")) else "."
        raise UsageError(f"{typed}: {message}{stop} See {typed} --help") from None
    except SystemExit:  # how the parser ends where the reader of a help has seen enough
        raise BrokenPipeError from None
    if isinstance(call, Call):
        return call
    raise SystemExit(call)


def answer(argv: Sequence[str] | None) -> CallResult:
    """Do what was typed."""
    return answer_call(parse(argv))


def answer_call(call: Call) -> CallResult:
    """Run a command that was read."""
    with progress_line(call.command.name, shown=not call.arguments["json"]):
        result = call.run()
    return CallResult(call, as_plain(result), 0 if call.command.passed(result) else 1)


def main(
    argv: Sequence[str] | None = None, *, answer: Callable[[Sequence[str] | None], CallResult] = answer
) -> int:
    """Run one command; return its exit code. What it writes is not for everybody on this machine."""
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
    except BrokenPipeError:  # the reader has seen enough
        return 0
    except SystemExit:  # help was printed
        raise
    except BaseException as error:  # noqa: BLE001 - whatever nobody foresaw, also a panic of a Rust library
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
    except OSError:  # Python would try to write the rest once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _refuse(error: EquipoiseError) -> int:
    kind = "Usage error" if isinstance(error, UsageError) else type(error).__name__
    print(as_printable(f"{kind}: {error}"), file=sys.stderr)
    return error.exit_code
