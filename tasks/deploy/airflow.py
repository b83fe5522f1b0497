"""`python -m tasks.deploy.airflow WORDS`: Airflow's own command line, on what `make up` starts."""

import os
import sys
from typing import NoReturn

from tasks.deploy.given import errors_told, read_words
from tasks.deploy.health import running_layout
from tasks.deploy.layout import Layout
from tasks.deploy.profiles import profile_of


def main() -> NoReturn:
    """Become Airflow's program, in the environment of the parts that run, or of those that would."""
    profile, words = read_words("tasks.deploy.airflow", __doc__, words="as `airflow --help` has them")
    with errors_told():
        chosen = Layout.from_environment(profile)
        layout = running_layout(chosen) or chosen
        environment = profile_of(layout).environment(layout)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *words], environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
