"""`python -m tasks.deploy.airflow WORDS`: Airflow's own command line, on what `make up` starts."""

import os
import sys
from typing import NoReturn

from tasks.deploy.given import errors_told, read_words
from tasks.deploy.health import running_settings
from tasks.deploy.profiles import profile_of
from tasks.deploy.settings import Settings


def main() -> NoReturn:
    """Become Airflow's program, with the settings of the parts that run, or of those that would."""
    profile, words = read_words("tasks.deploy.airflow", __doc__, words="as `airflow --help` has them")
    with errors_told():
        chosen = Settings.from_environment(profile)
        settings = running_settings(chosen) or chosen
        environment = profile_of(settings).environment(settings)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *words], environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
