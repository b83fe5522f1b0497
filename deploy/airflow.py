"""`python -m deploy.airflow WORDS`: Airflow's own command line, on what `make up` starts."""

import os
import sys
from typing import NoReturn

from deploy.installation import profile_of, running_layout
from deploy.layout import Layout
from deploy.programs import read_words, report_errors


def main() -> NoReturn:
    """Become Airflow's program, in the environment of the parts that run, or of those that would."""
    profile, words = read_words("deploy.airflow", __doc__, words="as `airflow --help` has them")
    with report_errors():
        chosen = Layout.from_environment(profile)
        layout = running_layout(chosen) or chosen
        environment = profile_of(layout).environment(layout)
    os.execve(sys.executable, [sys.executable, "-m", "airflow", *words], environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
