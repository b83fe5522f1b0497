"""One line on a terminal while a command runs: what it does, the share done, time so far, and an estimate.

It appears after two seconds and is gone before the result is printed. There is none off a terminal and none
with ``--json``.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from tasks.progress import listening

_QUIET_SECONDS: Final = 2.0


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever is stderr at that time: above the line while there is one."""

    @property
    def stream(self) -> object:
        """The standard error of now."""
        return sys.stderr

    @stream.setter
    def stream(self, _: object) -> None: ...


class _Line(Progress):
    """The line of one command."""

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
        """Show what begins now."""
        elapsed = self.tasks[0].elapsed or 0.0
        left = f"about {_format_seconds(elapsed * (1 - share) / share)} left" if share else ""
        self.update(self.task, description=" ".join(words), total=1.0, completed=share, left=left)


@contextmanager
def progress_line(command: str, *, shown: bool) -> Iterator[None]:
    """Show the progress of a command on a terminal as long as the body runs."""
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
    """Write a rough duration.

    Examples
    --------
    >>> _format_seconds(8.4), _format_seconds(75), _format_seconds(4000)
    ('8 s', '1 min', '1 h 7 min')
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
