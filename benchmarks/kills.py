"""Is the end state the same however often a command is killed? ``python -m benchmarks.kills --kills 200``.

Each command runs once undisturbed in a home of the smallest feed: its end state is what the others are held
against. Then, in a fresh copy of the same home, it is killed (SIGKILL) up to three times, each at a moment
drawn by ``--seed`` between its beginning and its end, and left to its end. Kills are dealt out among the
commands in turn until so many have met one alive; ``--verbs`` names some of them, ``--minutes`` ends the
dealing early.

The exit code is 1 where a state differs, a command fails, or a run is left open; the home is then kept.
"""

import argparse
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.killed.homes import VERBS, Homes
from benchmarks.killed.state import differences, read_state, state_digest
from tasks.cli import main as run_program
from tests.feeds import mini

_LOOKS: Final = 0.2
"""Seconds between two looks at whether to kill."""
_A_HOME: Final = 3
"""Kills that one home bears at most before it is left to its end."""
_DONE: Final = {"retrain": {0, 1}}
"""Exit codes of a command that came to its end; a retrain that is held has come to its end too."""


@dataclass
class Tally:
    """What came of a command: kills that met it alive, ends that were compared, and what was wrong."""

    seconds: float
    state: dict[str, Any]
    kills: int = 0
    ends: int = 0
    wrong: list[str] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    """Kill commands and compare how they end; print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="where homes are made and left (default: thrown away)")
    asked = parser.parse_args(words)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="equipoise-kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    multiprocessing.set_start_method("forkserver", force=True)
    multiprocessing.set_forkserver_preload(["tests.feeds.every_step", "tasks.promotion.moves.rollback"])
    run_killed(["settings"], folder / "output.txt")  # every step is imported once, before anything is timed
    tallies = _kill_all(folder, asked, until=time.monotonic() + 60 * asked.minutes)
    _print(tallies)
    wrong = [line for tally in tallies.values() for line in tally.wrong]
    total = sum(tally.kills for tally in tallies.values())
    print(f"{total} of {asked.kills} kills, seed {asked.seed}: {len(wrong)} wrong ends", *wrong, sep="\n  ")
    if asked.folder is None and not wrong:
        shutil.rmtree(folder)
    return 1 if wrong else 0


def _kill_all(folder: Path, asked: argparse.Namespace, *, until: float) -> dict[str, Tally]:
    homes, draw = Homes(folder), np.random.default_rng(asked.seed)
    if not (folder / "logs").exists():
        homes.prepare()
    tallies: dict[str, Tally] = {}
    while (missing := asked.kills - sum(tally.kills for tally in tallies.values())) > 0:
        for verb, kills in deal_kills(asked.verbs, missing):
            if time.monotonic() > until:
                return tallies
            if verb not in tallies:
                tallies[verb] = _undisturbed(homes, verb)
            home = homes.copy(verb, Path(tempfile.mkdtemp(dir=folder)) / "home")
            _kill_in(home, homes, verb, tallies[verb], draw.uniform(0, 1, kills).tolist())
    return tallies


def _print(tallies: Mapping[str, Tally]) -> None:
    for verb, tally in tallies.items():
        print(
            f"{verb:<14} {tally.kills:>4} kills  {tally.ends:>3} ends compared  {len(tally.wrong)} wrong  "
            f"{tally.seconds:6.1f} s undisturbed  state {state_digest(tally.state)[:12]}"
        )


def deal_kills(verbs: Sequence[str], kills: int) -> Iterator[tuple[str, int]]:
    """Yield verbs in turn, each with the kills that its next home bears, until all are dealt out."""
    while kills > 0:
        for verb in verbs:
            here = min(_A_HOME, kills)
            kills -= here
            if here:
                yield verb, here


def _undisturbed(homes: Homes, verb: str) -> Tally:
    home = homes.copy(verb, Path(tempfile.mkdtemp(dir=homes.folder)) / "home")
    began = time.monotonic()
    code = run_killed(homes.words(verb, home), home.parent / "output.txt")
    seconds = time.monotonic() - began
    state = read_state(home, mini.NAME)
    wrong = [] if code in _DONE.get(verb, {0}) else [f"{verb}: undisturbed it ended with {code}"]
    return Tally(seconds, state, wrong=wrong)


def _kill_in(home: Path, homes: Homes, verb: str, tally: Tally, moments: Sequence[float]) -> None:
    """Kill a verb in a home at shares of its time, let it end, and compare."""
    words, output = homes.words(verb, home), home.parent / "output.txt"
    for moment in moments:
        tally.kills += run_killed(words, output, kill_after=moment * tally.seconds) == -signal.SIGKILL
    code = run_killed(words, output)
    found, tally.ends = read_state(home, mini.NAME), tally.ends + 1
    problems = differences(tally.state, found)
    if code not in _DONE.get(verb, {0}):
        problems.append(f"ended with {code}: {output.read_text(encoding='utf-8')[-500:]}")
    shown = [round(moment * tally.seconds, 3) for moment in moments]
    print(f"{verb} killed after {shown} s: {problems or 'the same end'}", flush=True)
    tally.wrong += [f"{verb} killed after {shown} s in {home}: {problem}" for problem in problems]
    if not problems:
        shutil.rmtree(home.parent)


def run_killed(
    words: Sequence[str],
    output: Path,
    *,
    kill_after: float | None = None,
    kill_when: Callable[[], bool] = lambda: False,
) -> int | None:
    """Run the program in a process of its own, killed after some seconds or when something has happened.

    Returns
    -------
    How it ended, as a process's exit code.
    """
    process = multiprocessing.get_context("forkserver").Process(target=_program, args=(list(words), output))
    process.start()
    while process.is_alive() and not kill_when():
        process.join(kill_after or _LOOKS)
        if kill_after is not None:
            break
    if process.is_alive():
        process.kill()
    process.join()
    return process.exitcode


def _program(words: list[str], output: Path) -> None:
    # locks of this method have no name, so a killed process leaves none behind
    multiprocessing.set_start_method("fork", force=True)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    sys.exit(run_program(words))


if __name__ == "__main__":
    sys.exit(main())
