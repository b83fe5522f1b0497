"""`python -m tasks.local.airflow WORDS`: Airflow's own command line, on what `make up` starts."""

import argparse
import os
import sys
from typing import NoReturn

from tasks.errors import EquipoiseError
from tasks.local.health import running_settings
from tasks.local.profiles import profile_of
from tasks.local.settings import Settings


def main() -> NoReturn:
    """Become Airflow's program, with the settings of the parts that run, or of those that would."""
    parser = argparse.ArgumentParser(prog="python -m tasks.local.airflow", description=__doc__)
    parser.add_argument("--profile", default="embedded", help="embedded or production")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="as `airflow --help` has them")
    given = parser.parse_args()
    try:
        chosen = Settings.from_environment(given.profile)
        settings = running_settings(chosen) or chosen
        environment = profile_of(settings).environment(settings)
    except EquipoiseError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *given.words], environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
