"""Results as plain data, as JSON, and as text: for a terminal in its width and colours, else plain."""

import io
import json
import shutil
import sys
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from rich.console import Console, RenderableType

WIDTH: Final = 100
"""Columns of text that does not go to a terminal, and at most on one."""


def as_plain(result: Any) -> Any:
    """Return a result as the plain data of its JSON document."""
    if hasattr(result, "to_json"):
        return result.to_json()
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def as_json(plain: Any) -> str:
    """Write plain data as one JSON document."""
    return json.dumps(plain, indent=1, ensure_ascii=False, default=str)


def as_text(written: RenderableType) -> str:
    """Lay text out for stdout; a string stays as it is, of any width."""
    if isinstance(written, str):
        return written
    terminal = sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=min(WIDTH, shutil.get_terminal_size().columns) if terminal else WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(written, crop=False)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
