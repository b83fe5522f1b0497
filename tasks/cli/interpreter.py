"""How Python was started: what a command works under, and what it refuses before it does anything.

::

    warnings made errors (PYTHONWARNINGS=error)     libraries may warn all the same
    an output that lacks signs (PYTHONIOENCODING)   they are written as JSON escapes them
    names of files that are not UTF-8               refused: those of stores and logs are
    no docstrings (PYTHONOPTIMIZE=2)                refused: libraries read theirs when they are imported
"""

import codecs
import io
import json
import sys
import warnings
from typing import Final

from tasks.errors import ContractError

_ESCAPES: Final = "equipoise_escapes"
_WITHOUT_DOCSTRINGS: Final = 2


def prepare_interpreter() -> None:
    """Let a command work as it would anywhere.

    Raises
    ------
    ContractError
        Python was started in a way in which it cannot.
    """
    if any(option.startswith("error") for option in sys.warnoptions):
        warnings.simplefilter("default")
    codecs.register_error(_ESCAPES, _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPES)
    refuse_interpreter(optimize=sys.flags.optimize, names=sys.getfilesystemencoding())


def refuse_interpreter(*, optimize: int, names: str) -> None:
    """Refuse to run without docstrings, or where names of files are not UTF-8.

    Parameters
    ----------
    optimize : how much Python leaves out of the code.
    names : the encoding of the names of files.

    Raises
    ------
    ContractError
        With what to set.
    """
    if optimize >= _WITHOUT_DOCSTRINGS:
        raise ContractError(
            "Python leaves out docstrings here (PYTHONOPTIMIZE=2 or -OO), and libraries cannot be imported "
            "without theirs. Unset PYTHONOPTIMIZE, or set it to 1"
        )
    if codecs.lookup(names).name != "utf-8":
        raise ContractError(
            f"Names of files are {names} in this locale, and those of logs and stores are UTF-8. Set "
            "PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8"
        )


def _escape(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
