"""What a process writes is not readable by everybody on its machine: logs and labels tell of people.

::

    withhold_from_others()    the command line and every step of Airflow begin with it
    private_umask()           what the parts are started with that `make up` starts
"""

import os
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
