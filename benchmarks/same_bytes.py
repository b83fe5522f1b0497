"""Does this code make what an earlier commit made? ``python -m benchmarks.same_bytes --before REV``.

The same inputs go through two trees, that of the earlier commit (checked out for the while) and the current
one: log tables are imported or generated, a surface is retrained, its release is shown. Side by side stand
the digests of the log tables, of the labels and of every file of every part and of the release, every metric,
the verdict, its reasons and each gate. All is by the command line, so the trees need share no module, and
digests are taken from the bytes in each home, not from what the program says of them.

A figure must be equal to the last digit, unless EXPECTED names it: its definition changed, for the reason
that stands there. What differs beyond that makes the exit code 1.

``--keep DIR`` leaves the homes in DIR/before and DIR/after; ``--before-homes DIR/before`` compares with them
again, without the earlier commit's code.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from benchmarks.retrained.figures import Figures, figures
from benchmarks.retrained.trees import HERE, RECIPES, checked_out, require_sources, retrain

_MOVED: Final = "the code that a release brings stands in other files; those it lists are compared one by one"
EXPECTED: Mapping[str, str] = {
    "*/release/code": _MOVED,
    "*/release/MLmodel": _MOVED,
    "*/release/artifacts/release/manifest.json": _MOVED,
    "*/said/digests/release": _MOVED,
    "*/said/digests/manifest": _MOVED,
}
"""Figures that may differ, by a pattern of ``fnmatch`` on SURFACE/NAME, with the reason."""
ABSENT = "-"
WIDTH = 24


@dataclass(frozen=True)
class Compared:
    """A figure before and after; ``reason`` is why it may differ, None where it may not."""

    name: str
    before: str
    after: str
    reason: str | None

    @property
    def equal(self) -> bool:
        """Whether both are the same text."""
        return self.before == self.after

    @property
    def line(self) -> str:
        """Both side by side, cut short."""
        mark = "=" if self.equal else "~" if self.reason is not None else "!"
        return f"  {mark} {self.name:<64} {_short(self.before):<{WIDTH}}  {_short(self.after)}"


def main(words: Sequence[str] | None = None) -> int:
    """Retrain by both trees, print every figure of both, and say how many differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", metavar="REV", help="the earlier commit")
    parser.add_argument("--before-homes", metavar="DIR", type=Path, help="homes that it made, DIR/SURFACE")
    parser.add_argument("--surfaces", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--keep", metavar="DIR", type=Path, help="make the homes here and leave them")
    asked = parser.parse_args(words)
    if asked.before is None and asked.before_homes is None:
        parser.error("name the commit to compare with (--before REV), or homes of it (--before-homes DIR)")
    require_sources(asked.surfaces)
    compared: list[Compared] = []
    with tempfile.TemporaryDirectory(prefix="equipoise-same-bytes-") as folder:
        kept = (asked.keep or Path(folder)).absolute()
        with _before(asked.before, asked.before_homes, Path(folder), kept) as (tree, before):
            for surface in asked.surfaces:
                if tree is not None:
                    retrain(tree, surface, before)
                retrain(HERE, surface, kept / "after")
                found = compare(surface, figures(before, surface), figures(kept / "after", surface))
                print(f"{surface}: before, after", *(one.line for one in found), sep="\n", flush=True)
                compared += found
    print(*summary(compared), sep="\n")
    return int(any(not one.equal and one.reason is None for one in compared))


@contextmanager
def _before(
    revision: str | None, homes: Path | None, folder: Path, kept: Path
) -> Iterator[tuple[Path | None, Path]]:
    """Yield the earlier tree, None where its homes are there already, and the folder of its homes."""
    if homes is not None:
        yield None, homes.absolute()
        return
    with checked_out(str(revision), folder) as tree:
        yield tree, kept / "before"


def compare(
    surface: str, before: Figures, after: Figures, *, expected: Mapping[str, str] = EXPECTED
) -> list[Compared]:
    """Hold two sets of figures against each other, also those that only one of them has."""
    names = [*before, *(name for name in after if name not in before)]
    return [
        Compared(
            f"{surface}/{name}",
            before.get(name, ABSENT),
            after.get(name, ABSENT),
            next((why for known, why in expected.items() if fnmatchcase(f"{surface}/{name}", known)), None),
        )
        for name in names
    ]


def summary(compared: Sequence[Compared]) -> Iterator[str]:
    """Name what differs, in full, and count."""
    other = [one for one in compared if not one.equal]
    for one in other:
        yield f"{one.name}: {one.reason if one.reason is not None else 'not expected to differ'}"
        yield f"    before  {one.before}"
        yield f"    after   {one.after}"
    declared = sum(one.reason is not None for one in other)
    said = f" ({declared} of them as expected)" if declared else ""
    yield f"{len(compared) - len(other)} figures equal, {len(other)} differ{said}"


def _short(value: str) -> str:
    return value if len(value) <= WIDTH else f"{value[: WIDTH - 2]}.."


if __name__ == "__main__":
    sys.exit(main())
