"""`python -m deploy up | down | status | demo`, as `make` calls it, and `python -m deploy airflow WORDS`.

The last one runs Airflow's own command line in the environment of the services.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from deploy.credentials import USERS, ensure_passwords
from deploy.demo import run_demo
from deploy.layout import Layout
from deploy.services import environment
from deploy.supervisor import bring_up, lock_home, not_ready, records, running_layout, stop
from tasks.errors import EquipoiseError, StoreError
from tasks.settings import find_misspelt_names

INTERRUPTED = 130


def main() -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    parser.add_argument("verb", choices=(*_VERBS, "airflow"))
    parser.add_argument("words", nargs=argparse.REMAINDER, help="of Airflow's command line")
    given = parser.parse_args()
    with report_errors():
        layout = Layout.from_environment()
        return _airflow(layout, given.words) if given.verb == "airflow" else _VERBS[given.verb](layout)


@contextmanager
def report_errors() -> Iterator[None]:
    """End the program with the exit code of a known error and its message, or with a traceback.

    A signal ends the body like Ctrl-C, so that services which were started are stopped. Variables of the
    environment that look misspelt are reported first.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    for sentence in find_misspelt_names():
        print(sentence, file=sys.stderr)
    try:
        yield
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except OSError as error:
        print(f"StoreError: {error}", file=sys.stderr)
        sys.exit(StoreError.exit_code)
    except Exception:  # noqa: BLE001 - exit code 1 is that of a verdict that says no
        traceback.print_exc()
        sys.exit(StoreError.exit_code)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _up(layout: Layout) -> int:
    with lock_home(layout):
        running = running_layout(layout)
        if running is None:
            stop(layout)
            running = bring_up(layout, print)
    print(_addresses(running))
    return 0


def _down(layout: Layout) -> int:
    with lock_home(layout):
        stopped = stop(layout)
    print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    return 0


def _status(layout: Layout) -> int:
    known = records(layout)
    for record in known:
        print(f"{record.name:<14} {'running' if record.lives else 'ended'}  pid {record.pid}")
    if running := running_layout(layout):
        missing = not_ready(running)
        print(f"not ready: {', '.join(missing)}" if missing else _addresses(running))
        return 1 if missing else 0
    print("not running; `make up` starts it" if not known else "incomplete; `make up` starts it again")
    return 1


def _airflow(layout: Layout, words: Sequence[str]) -> NoReturn:
    """Become Airflow's program, in the environment of the running services or of those that would start."""
    variables = environment(running_layout(layout) or layout)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *words], variables)  # noqa: S606 - no shell


def _addresses(layout: Layout) -> str:
    passwords = ensure_passwords(layout.airflow)
    logins = "\n".join(f"    {user:<6} {passwords[user]}   {role}" for user, role in USERS.items())
    return (
        f"Airflow  {layout.airflow_url}\n{logins}\n"
        f"MLflow   {layout.mlflow_url}   no login: both listen on this machine alone\n"
        "`make down` stops both; their state stays"
    )


_VERBS: Mapping[str, Callable[[Layout], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "demo": run_demo,
}

if __name__ == "__main__":
    sys.exit(main())
