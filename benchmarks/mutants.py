"""Which faults would the tests not notice? ``python -m benchmarks.mutants --package tasks/ranking``.

A mutant is a module with one small fault (`benchmarks/mutations.py`). A sample is drawn by ``--seed`` from
all that the package allows. For each, the module's own doctests and the tests that mirror it (tasks/a/b.py
has tests/a/test_b.py) run in a copy of the tree, in a process forked from one that has imported the
libraries, until the first that fails. What no test notices is printed with its line, at the end the score:
the share that was noticed.

Tests that need a whole retrain or a feed with real stores are left out, as they take minutes for each
mutant; a module with no other test is named, and its mutants are passed over. So the score is that of the
fast tests of a module alone, and a survivor may be noticed elsewhere.
"""

import argparse
import contextlib
import importlib
import io
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks.mutations import Mutation, find_mutations, mutate

HERE: Final = Path(__file__).resolve().parents[1]
SLOW: Final = frozenset(
    {
        *("first_retrain", "second_retrain", "repeated", "killed", "released", "labelled_feed", "feed"),
        *("mini_world", "installation", "start", "spark", "postgres"),
    }
)
"""Fixtures that take longer than a mutant is worth."""
OURS: Final = frozenset({"tasks", "tests", "dags", "benchmarks", "__main__", "__mp_main__"})
NOTICED, SURVIVED, NO_TESTS, TIMED_OUT = "noticed", "survived", "no tests", "timed out"
_FOLDERS: Final = ("tasks", "tests", "dags", "deploy", "surfaces", "expectations", "docs", "mlflow_projects")
_FILES: Final = ("pyproject.toml",)
_PYTEST: Final = "-x -q -p no:cacheprovider -p no:xdist -W ignore::pytest.PytestAssertRewriteWarning"
_LEAST: Final = 30.0
_TIMES: Final = 5.0
_MOST: Final = 600.0  # seconds of a module's tests as it is
_NO_TESTS_CODE: Final = 5  # pytest's own


@dataclass(frozen=True)
class Module:
    """A module of the package and the test file that mirrors it."""

    path: Path
    tests: Path | None

    @classmethod
    def of(cls, path: Path) -> "Module":
        """Return a module with the tests that mirror it, where there are any."""
        inner = path.relative_to("tasks")
        mirror = Path("tests") / inner.parent / f"test_{inner.name}"
        return cls(path, mirror if (HERE / mirror).is_file() else None)


class _Fast:
    """Deselects what asks for a slow fixture, and knows the one mark of the plugin that is left out."""

    def pytest_configure(self, config: Any) -> None:
        config.addinivalue_line("markers", "xdist_group(name): tests that share a worker")

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        fast = [item for item in items if not SLOW & set(getattr(item, "fixturenames", ()))]
        config.hook.pytest_deselected(items=[item for item in items if item not in fast])
        items[:] = fast


def run_tests(tree: Path, module: Module) -> int:
    """Run a module's doctests and its mirrored tests in a tree; return pytest's exit code."""
    os.chdir(tree)
    sys.path[:0] = [str(tree)]
    os.environ["PYTHONPATH"] = str(tree)
    files = [str(module.path), *([str(module.tests)] if module.tests else [])]
    words = [*_PYTEST.split(), *files]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main(words, plugins=[_Fast()]))


def try_module(tree: Path, module: Module, *, seconds: float) -> str:
    """Say what becomes of the module as it stands in the tree, in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=_end_with, args=(tree, module))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return TIMED_OUT
    return {0: SURVIVED, _NO_TESTS_CODE: NO_TESTS}.get(process.exitcode or 0, NOTICED)


def _end_with(tree: Path, module: Module) -> None:
    os._exit(run_tests(tree, module))


def import_libraries(tree: Path) -> None:
    """Import once what the tests' conftest imports and is not ours, so that no mutant waits for it."""
    find = "import sys, tests.conftest; print(*sys.modules)"
    words = [sys.executable, "-W", "ignore", "-c", find]
    found = subprocess.run(words, cwd=tree, capture_output=True, text=True, check=True).stdout.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in found:
            if name.partition(".")[0] not in OURS:
                with contextlib.suppress(ImportError):
                    importlib.import_module(name)


def modules_of(package: Path) -> list[Module]:
    """Return the package's modules, but for those that say nothing but what it is."""
    found = [package] if package.suffix == ".py" else sorted(package.rglob("*.py"))
    return [Module.of(path) for path in found if path.name != "__init__.py"]


def draw(modules: Sequence[Module], *, sample: int, seed: int) -> list[tuple[Module, Mutation]]:
    """Draw mutants of some modules, each as likely as any other."""
    every = [
        (module, mutation)
        for module in modules
        for mutation in find_mutations((HERE / module.path).read_text(encoding="utf-8"))
    ]
    drawn = random.Random(seed).sample(range(len(every)), min(sample, len(every)))  # noqa: S311 - no secret
    return [every[index] for index in drawn]


def copy_tree(into: Path) -> Path:
    """Copy what the tests need, so that the mutants are nowhere else."""
    for name in _FOLDERS:
        shutil.copytree(HERE / name, into / name, ignore=shutil.ignore_patterns("__pycache__", "pictures"))
    for name in _FILES:
        shutil.copy2(HERE / name, into / name)
    return into


def try_mutants(
    tree: Path, drawn: Iterable[tuple[Module, Mutation]]
) -> Iterator[tuple[Module, Mutation, str]]:
    """Yield each mutant with what became of it; those of a module that has no fast tests are passed over.

    A mutant whose tests take many times as long as those of the module as it is loops.
    """
    took: dict[Module, float | None] = {}
    for module, mutation in drawn:
        if module not in took:
            took[module] = _time_whole(tree, module)
        if (seconds := took[module]) is not None:
            yield module, mutation, _try_mutant(tree, module, mutation, seconds=_LEAST + _TIMES * seconds)


def _try_mutant(tree: Path, module: Module, mutation: Mutation, *, seconds: float) -> str:
    """Say what becomes of a mutant; the tree is whole again afterwards."""
    file = tree / module.path
    whole = file.read_text(encoding="utf-8")
    file.write_text(mutate(whole, mutation), encoding="utf-8")
    try:
        return try_module(tree, module, seconds=seconds)
    finally:
        file.write_text(whole, encoding="utf-8")


def _time_whole(tree: Path, module: Module) -> float | None:
    """Return the seconds of a module's fast tests; None, and a line, where they do not pass as it is."""
    began = time.monotonic()
    outcome = try_module(tree, module, seconds=_MOST)
    if outcome == SURVIVED:
        return time.monotonic() - began
    why = "its tests fail as it is" if outcome == NOTICED else outcome
    print(f"  left out: {module.path}: {why}", flush=True)
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, try and print; stop after some minutes with what was tried by then."""
    asked = _parser().parse_args(arguments)
    ends = time.monotonic() + asked.minutes * 60
    with contextlib.suppress(OSError):
        os.nice(15)
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory(prefix="equipoise-mutants-") as folder:
        tree = copy_tree(Path(folder))
        import_libraries(tree)
        drawn = draw(modules_of(asked.package), sample=asked.sample, seed=asked.seed)
        outcomes: Counter[str] = Counter()
        for module, mutation, outcome in try_mutants(tree, drawn):
            outcomes[outcome] += 1
            if outcome == SURVIVED:
                print(f"  survived: {module.path}:{mutation.line}  {mutation}", flush=True)
            if time.monotonic() > ends:
                print(f"  stopped after {asked.minutes:g} minutes")
                break
    print(score_line(str(asked.package), outcomes))


def score_line(package: str, outcomes: Counter[str]) -> str:
    """Write the score: an endless loop is noticed.

    Examples
    --------
    >>> score_line("tasks/promotion", Counter({"noticed": 7, "timed out": 1, "survived": 2}))
    'tasks/promotion: 8 of 10 mutants noticed, score 0.80'
    """
    tried = outcomes.total()
    noticed = tried - outcomes[SURVIVED]
    return f"{package}: {noticed} of {tried} mutants noticed, score {noticed / max(tried, 1):.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("benchmarks.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--package", type=Path, default=Path("tasks/promotion"), help="a folder or a module")
    parser.add_argument("--sample", type=int, default=10, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=25, help="after which no further mutant is tried")
    return parser


if __name__ == "__main__":
    main()
