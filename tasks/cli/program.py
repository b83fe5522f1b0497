"""Runs one command.

stdout carries the result, as text for people or with ``--json`` as one JSON document; progress and logs go to
stderr. Exit codes: 0 done, 1 a verdict that says no, 2 wrong use, contract or data, 3 a store or service.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from tasks.cli.arguments import build_parser
from tasks.cli.commands import Arguments
from tasks.errors import EquipoiseError

STOPPED = 130

Outcome = tuple[Arguments, Any, int]


def answer(argv: Sequence[str] | None) -> Outcome:
    """Do what was typed; return the arguments, the result and the exit code."""
    arguments = build_parser().parse_args(argv)
    return arguments, *arguments.run(arguments)


def main(
    argv: Sequence[str] | None = None, *, answer: Callable[[Sequence[str] | None], Outcome] = answer
) -> int:
    """Run one command; return its exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s", force=True)
    logging.getLogger("equipoise").setLevel(logging.INFO)
    try:
        arguments, result, code = answer(argv)
        plain = as_plain(result)
        print(as_json(plain) if arguments.json else arguments.written(plain), flush=True)
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(code)


def as_json(plain: Any) -> str:
    """Write a result as one JSON document."""
    return json.dumps(plain, indent=1, ensure_ascii=False, default=str)


def as_plain(result: Any) -> Any:
    """Return a result as plain data."""
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
