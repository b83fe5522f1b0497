"""Retrains of a surface by the code of one tree, through its command line alone.

::

    homes/<surface>/                 the home: log tables, labels, MLflow's store, reports
    homes/<surface>.retrain.json     what `retrain --json` printed
    homes/<surface>.release.json     what `release show SURFACE 1 --json` printed

Every command is a process of its own, with the tree as its working directory.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.shared_data import KUAIRAND

HERE: Final = Path(__file__).resolve().parents[2]
_ELSEWHERE: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "PYTHONPATH", "PYTHONSAFEPATH")
_OF_THE_PROJECT: Final = "EQUIPOISE_"


@dataclass(frozen=True)
class Recipe:
    """How a surface's log tables are made, and the as-of of its retrain.

    ``logs`` : the words of the command, without ``--out``.
    """

    logs: tuple[str, ...]
    as_of: str


RECIPES: Final = {
    "weekly_circular": Recipe(("import", "complete-journey"), "2018-01-02T00:00:00Z"),
    "short_video": Recipe(("import", "kuairand", "--source", str(KUAIRAND)), "2022-05-05T00:00:00Z"),
    "home_feed": Recipe(
        ("world", "generate", "--days", "139", "--requests-per-day", "800", "--seed", "7"),
        "2026-05-13T00:00:00Z",
    ),
}
"""Each as-of and each parameter is that of the demo, the documentation or the end-to-end test."""


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """Yield a worktree of a revision below a folder; it is gone afterwards, whatever happens."""
    tree = folder / "tree"
    git = ("git", "-C", str(HERE), "worktree")
    subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def retrain(tree: Path, surface: str, homes: Path) -> None:
    """Make the log tables, retrain, and keep what the program printed beside the home."""
    _require_own_code(tree)
    recipe, home, began = RECIPES[surface], homes / surface, time.perf_counter()
    _run(tree, [*recipe.logs, "--out", str(home / "logs" / surface)], home)
    made = _run(tree, ["retrain", surface, "--as-of", recipe.as_of], home, verdict=True)
    shown = _run(tree, ["release", "show", surface, "1"], home)
    for name, text in (("retrain", made), ("release", shown)):
        (homes / f"{surface}.{name}.json").write_text(text, encoding="utf-8")
    print(f"{surface}: retrained by {tree} in {time.perf_counter() - began:.0f} s", file=sys.stderr)


def printed(homes: Path, surface: str, what: str) -> Any:
    """Return what ``retrain`` or ``release`` printed for a surface.

    Raises
    ------
    SystemExit
        There is no such file beside the home.
    """
    file = homes / f"{surface}.{what}.json"
    if not file.is_file():
        raise SystemExit(f"{file} is missing: it holds what the program printed when the home was made")
    return json.loads(file.read_text(encoding="utf-8"))


def require_sources(surfaces: Sequence[str]) -> None:
    """Look that the logged data are there which the project does not carry."""
    if "short_video" in surfaces and not KUAIRAND.is_dir():
        raise SystemExit(
            f"KuaiRand-Pure is not in {KUAIRAND.parent}: name the folder that holds it in "
            "EQUIPOISE_SHARED_DATA, or name the other surfaces alone (--surfaces)"
        )


def _require_own_code(tree: Path) -> None:
    """Look that a process in a tree imports the package of that tree, not one that is installed."""
    words = [sys.executable, "-c", "import tasks; print(tasks.__file__)"]
    done = subprocess.run(words, cwd=tree, env=_surroundings(), check=True, stdout=subprocess.PIPE, text=True)
    if not Path(done.stdout.strip()).resolve().is_relative_to(tree.resolve()):
        raise SystemExit(f"A process in {tree} imports {done.stdout.strip()}, which is another tree's code")


def _run(tree: Path, words: Sequence[str], home: Path, *, verdict: bool = False) -> str:
    """Run one command in a tree; where it ends in a verdict, exit code 1 is an answer too."""
    command = [sys.executable, "-m", "tasks.cli", *words, "--home", str(home), "--json"]
    done = subprocess.run(
        command, cwd=tree, env=_surroundings(), check=False, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode not in ((0, 1) if verdict else (0,)):
        last = "\n".join(done.stderr.splitlines()[-5:])
        raise SystemExit(f"`equipoise {' '.join(words)}` ended with {done.returncode} in {tree}:\n{last}")
    return done.stdout


def _surroundings() -> dict[str, str]:
    """Return the environment without what would lead away from the tree or the home."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _ELSEWHERE and not name.startswith(_OF_THE_PROJECT)
    }
