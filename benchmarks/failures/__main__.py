"""The ten failures, each shipped by a naive pipeline and stopped by Equipoise.

``python -m benchmarks.failures`` prints one table; ``--write`` also makes docs/failures.md and its
pictures anew.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.failures.failure import demonstrate
from benchmarks.failures.listed import FAILURES
from benchmarks.failures.page import table, write
from benchmarks.failures.world import FailureWorld


def main() -> None:
    """Make the world in a folder that is thrown away, demonstrate every failure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make docs/failures.md anew")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = FailureWorld.make(Path(folder) / "world")
        shown = [demonstrate(failure, world) for failure in FAILURES]
        print(*table(shown, world.words), sep="\n")
        if asked.write:
            write(shown, world.words)


if __name__ == "__main__":
    main()
