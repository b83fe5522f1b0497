"""``equipoise ...``: parse, call a step, print."""

from tasks.cli.program import main

__all__ = ["main"]
