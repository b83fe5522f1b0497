"""`python -m tasks.local.command WORDS`: a command of `equipoise` on what the running parts work on."""

import argparse
import subprocess
import sys

from tasks.errors import EquipoiseError, StoreError
from tasks.local.health import running_settings
from tasks.local.profiles import profile_of
from tasks.local.settings import Settings


def main() -> int:
    """Run the command with the environment of a step; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tasks.local.command", description=__doc__)
    parser.add_argument("--profile", default="embedded", help="embedded or production")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="as after `equipoise`")
    given = parser.parse_args()
    try:
        running = running_settings(Settings.from_environment(given.profile))
        if running is None:
            raise StoreError(f"The parts do not run. Start them: `make up PROFILE={given.profile}`")
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    command = (sys.executable, "-m", "tasks.cli", *given.words)
    return subprocess.run(command, env=profile_of(running).environment(running), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
