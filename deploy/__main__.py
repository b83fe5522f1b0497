"""`python -m deploy up | down | status`: what the make verbs of the same names call."""

import sys
from collections.abc import Callable, Mapping

from deploy.credentials import USERS, ensure_passwords
from deploy.installation import bring_up, not_ready, profile_of, running_layout
from deploy.layout import Layout
from deploy.programs import interrupt_on_signals, profile_parser, report_errors
from deploy.records import lock_home, records, stop


def main() -> int:
    """Run one verb and return its exit code."""
    parser = profile_parser("deploy", __doc__)
    parser.add_argument("verb", choices=tuple(_VERBS))
    interrupt_on_signals()
    with report_errors():
        arguments = parser.parse_args()
        return _VERBS[arguments.verb](Layout.from_environment(arguments.profile))


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
    print("not running; `make up` starts it" if not known else "incomplete; `make up` starts it anew")
    return 1


def _addresses(layout: Layout) -> str:
    passwords = ensure_passwords(layout.airflow)
    logins = "\n".join(f"    {user:<6} {passwords[user]}   {role}" for user, role in USERS.items())
    return (
        f"Airflow  {layout.airflow_url}\n{logins}\n"
        f"MLflow   {layout.mlflow_url}   {profile_of(layout).mlflow_login}\n"
        f"`{profile_of(layout).down}` stops both; their state stays"
    )


_VERBS: Mapping[str, Callable[[Layout], int]] = {"up": _up, "down": _down, "status": _status}

if __name__ == "__main__":
    sys.exit(main())
