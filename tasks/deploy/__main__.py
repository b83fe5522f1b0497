"""`python -m tasks.deploy up | down | status | demo`: what the make verbs of the same names call."""

import argparse
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import NoReturn

from tasks.deploy.health import bring_up, not_ready, running_layout
from tasks.deploy.layout import Layout
from tasks.deploy.logins import USERS, ensure_passwords
from tasks.deploy.parts import only_one, records, stop
from tasks.deploy.profiles import profile_of
from tasks.errors import EquipoiseError


def main() -> int:
    """Run one verb and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tasks.deploy", description=__doc__)
    parser.add_argument("verb", choices=tuple(_VERBS))
    parser.add_argument("--profile", default="embedded", help="embedded or production")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # also where the caller had them ignored
        signal.signal(number, _interrupt)
    try:
        given = parser.parse_args()
        return _VERBS[given.verb](Layout.from_environment(given.profile))
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _up(layout: Layout) -> int:
    with only_one(layout):
        running = running_layout(layout)
        if running is None:
            stop(layout)
            running = bring_up(layout, print)
    print(_addresses(running))
    return 0


def _down(layout: Layout) -> int:
    with only_one(layout):
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
    print("not running; `make up` starts it" if not known else "incomplete; `make up` starts it anew")
    return 1


def _demo(layout: Layout) -> int:
    from tasks.deploy import demo, production_demo

    demos = {"embedded": demo.run_demo, "production": production_demo.run_demo}
    demos[layout.profile](layout)
    return 0


def _addresses(layout: Layout) -> str:
    passwords = ensure_passwords(layout.airflow)
    logins = "\n".join(f"    {user:<6} {passwords[user]}   {role}" for user, role in USERS.items())
    return (
        f"Airflow  {layout.airflow_url}\n{logins}\n"
        f"MLflow   {layout.mlflow_url}   {profile_of(layout).says}\n"
        f"`{profile_of(layout).down}` stops both; their state stays"
    )


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Make being asked to end look like Ctrl-C, so that what was started is stopped."""
    raise KeyboardInterrupt


_VERBS: Mapping[str, Callable[[Layout], int]] = {"up": _up, "down": _down, "status": _status, "demo": _demo}

if __name__ == "__main__":
    sys.exit(main())
