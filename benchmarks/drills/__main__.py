"""The disasters of docs/disaster.md, each made to happen in a small home: ``python -m benchmarks.drills``.

It prints what is lost, after which commands the champion serves again, and how long that took; ``--write``
also makes docs/disaster.md anew. The exit code is 1 where a drill does not go as the page says.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.drills.listed import DRILLS
from benchmarks.drills.page import PAGE, page, table
from benchmarks.drills.run import drill_all
from benchmarks.killed.homes import Homes


def main() -> None:
    """Make the homes in a folder that is thrown away, run the drills and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make docs/disaster.md anew")
    parser.add_argument("--drills", nargs="+", choices=DRILLS, default=list(DRILLS))
    parser.add_argument("--folder", type=Path, help="where homes are made and left (default: thrown away)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drilled = drill_all(Homes(asked.folder or Path(folder)), asked.drills)
        print(*table(drilled), sep="\n")
        if asked.write:
            PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), drilled), encoding="utf-8")


if __name__ == "__main__":
    main()
