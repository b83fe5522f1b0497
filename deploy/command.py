"""`python -m deploy.command WORDS`: a command of `equipoise` on what the running parts work on."""

import subprocess
import sys

from deploy.installation import profile_of, require_running_layout
from deploy.layout import Layout
from deploy.programs import read_words, report_errors


def main() -> int:
    """Run the command with the environment of a step; return its exit code."""
    profile, words = read_words("deploy.command", __doc__, words="as after `equipoise`")
    with report_errors():
        running = require_running_layout(Layout.from_environment(profile))
    command = (sys.executable, "-m", "tasks.cli", *words)
    return subprocess.run(command, env=profile_of(running).environment(running), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
