"""Results as plain data, as JSON, and as text: for a terminal in its width and colours, else plain.

Names of folders, values of a log and people's reasons may hold anything. What would steer a terminal, or turn
the direction of its writing, is printed as the escape that Python or JSON writes for it.
"""

import io
import json
import logging
import math
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, Final

from rich.console import Console, RenderableType

WIDTH: Final = 100
"""Columns of text that does not go to a terminal, and at most on one."""


_HARMLESS: Final = "\n\t\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
"""Isolates keep a name that is read from right to left from turning the figures beside it."""


def as_plain(result: Any) -> Any:
    """Return a result as the plain data of its JSON document."""
    if hasattr(result, "to_json"):
        return result.to_json()
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def as_json(plain: Any) -> str:
    """Write plain data as one JSON document; JSON has no word for a number that is not finite, but null.

    Examples
    --------
    >>> as_json(float("nan"))
    'null'
    """
    written = json.dumps(_as_finite(plain), indent=1, ensure_ascii=False, default=str, allow_nan=False)
    return "".join(sign if _is_harmless(sign) else json.dumps(sign)[1:-1] for sign in written)


def _as_finite(plain: Any) -> Any:
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    if isinstance(plain, Mapping):
        return {name: _as_finite(value) for name, value in plain.items()}
    return [_as_finite(value) for value in plain] if isinstance(plain, list | tuple) else plain


def as_printable(plain: Any) -> Any:
    r"""Return plain data whose texts hold no control characters but line ends and tabs.

    Examples
    --------
    >>> print(as_printable(chr(27) + "[2Jana"), as_printable({"days": ["naïve", 7]}))
    \x1b[2Jana {'days': ['naïve', 7]}
    """
    if isinstance(plain, str):
        return "".join(sign if _is_harmless(sign) else repr(sign)[1:-1] for sign in plain)
    if isinstance(plain, Mapping):
        return {as_printable(name): as_printable(value) for name, value in plain.items()}
    return [as_printable(value) for value in plain] if isinstance(plain, list | tuple) else plain


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or sign in _HARMLESS or unicodedata.category(sign) == "Zs"


class PrintableFormatter(logging.Formatter):
    """Writes a message of the log as it may be printed."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message without what would steer a terminal."""
        return str(as_printable(super().format(record)))


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
