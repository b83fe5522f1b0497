"""The command line ``equipoise ...``: parse the arguments, call a step, print its result."""

from tasks.cli.program import main

__all__ = ["main"]
