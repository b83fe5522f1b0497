"""Whose a process is on its machine, and that others cannot read what it writes: logs and labels hold people.

::

    withhold_from_others()    the command line and every step of Airflow begin with it
    private_umask()           what the parts are started with that `make up` starts
    process_account()         the account that a process runs as, whatever its environment says
"""

import os
import pwd
from typing import Final

_NOT_FOR_OTHERS: Final = 0o007


def private_umask() -> int:
    """Return this process's umask, stricter where it would let others read."""
    now = os.umask(0o077)
    os.umask(now)
    return now | _NOT_FOR_OTHERS


def withhold_from_others() -> None:
    """Let nothing that this process writes from now on be for others; a stricter umask stays."""
    os.umask(private_umask())


def process_account() -> str | None:
    """Return the name of the account that this process runs as; None where the machine has no name for it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return None
