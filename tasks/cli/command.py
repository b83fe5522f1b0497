"""A command as it is typed: what every one of them takes, and what many do."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.cli import text
from tasks.cli.commands import Answer, Arguments
from tasks.stores.workspace import parse_instant


def add_command(
    root: Any,
    name: str,
    run: Callable[[Arguments], Answer],
    summary: str,
    example: str,
    written: Callable[[Any], str] = text.lines,
) -> argparse.ArgumentParser:
    """Add a command with its help, an example, and the function that runs it.

    Parameters
    ----------
    written
        How the result is written for people.
    """
    parser: argparse.ArgumentParser = root.add_parser(name, help=summary, description=summary)
    parser.epilog = f"example: {parser.prog} {example}"
    parser.add_argument(
        "--surfaces", type=Path, metavar="DIR", help="folder of contracts (default: surfaces)"
    )
    parser.add_argument("--home", type=Path, metavar="DIR", help="folder of the state (default: .equipoise)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else there")
    parser.set_defaults(run=run, written=written)
    return parser


def add_as_of(parser: argparse.ArgumentParser) -> None:
    """Add the instant of which the command looks at the world."""
    parser.add_argument(
        "--as-of", type=parse_instant, required=True, metavar="T", help="instant, ISO 8601 in UTC"
    )


def add_parent_run(parser: argparse.ArgumentParser) -> None:
    """Add the MLflow run that the command's own belongs under."""
    parser.add_argument("--parent-run", metavar="RUN_ID", help="the MLflow run that this one belongs under")
