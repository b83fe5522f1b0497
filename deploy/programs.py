"""What the programs of this room share: how they read a profile and words, and how they end."""

import argparse
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from tasks.errors import EquipoiseError, StoreError
from tasks.settings import find_misspelt_names

INTERRUPTED = 130


def profile_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of ``[--profile PROFILE]``."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--profile", default="embedded", help="embedded or production")
    return parser


def read_words(program: str, description: str | None, *, words: str) -> tuple[str, list[str]]:
    """Read ``[--profile PROFILE] WORDS``; return the profile and the words, which ``words`` explains."""
    parser = profile_parser(program, description)
    parser.add_argument("words", nargs=argparse.REMAINDER, help=words)
    arguments = parser.parse_args()
    return arguments.profile, arguments.words


@contextmanager
def report_errors() -> Iterator[None]:
    """End the program with the exit code of an error of ours, and its message alone.

    What the machine refuses (a permission, a full disk) is such a message too. Whatever nobody foresaw keeps
    its traceback, but not Python's exit code 1: that is what a verdict that says no ends with. Variables of
    the environment that look misspelt are reported first.
    """
    for sentence in find_misspelt_names():
        print(sentence, file=sys.stderr)
    try:
        yield
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        print(f"StoreError: {error}", file=sys.stderr)
        sys.exit(StoreError.exit_code)
    except Exception:  # noqa: BLE001 - the last handler of a program
        traceback.print_exc()
        sys.exit(StoreError.exit_code)


def interrupt_on_signals() -> None:
    """Make being asked to end look like Ctrl-C, so that what was started is stopped."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # also where the caller had them ignored
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
