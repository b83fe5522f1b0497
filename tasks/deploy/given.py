"""What the programs of this room are given: a profile, and the words of the program that they stand for."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.errors import EquipoiseError


def read_words(program: str, description: str | None, *, words: str) -> tuple[str, list[str]]:
    """Read ``[--profile PROFILE] WORDS``; return the profile and the words, which ``words`` explains."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--profile", default="embedded", help="embedded or production")
    parser.add_argument("words", nargs=argparse.REMAINDER, help=words)
    given = parser.parse_args()
    return given.profile, given.words


@contextmanager
def errors_told() -> Iterator[None]:
    """End the program with the exit code of an error of ours, and its message alone."""
    try:
        yield
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
