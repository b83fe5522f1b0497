"""Sixty simulated days of many surfaces through a real Airflow: ``python -m benchmarks.soak``.

It prints what the installation held and used on day 5 and on the last day, with their ratio: the home by
kind, the databases of MLflow and Airflow, memory and open files of each service, and the time of the daily
run, each the median of three days. Interrupted, it prints the days that were played, and with the same
``--folder`` it goes on with the next. The exit code is 1 where a file is left that nothing names.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.soak.next_day import next_days
from benchmarks.soak.season import Calendar, Day, Soak, measures, world_days
from benchmarks.soak.surfaces import add_surfaces
from deploy.layout import Layout
from deploy.supervisor import bring_up, lock_home, stop
from tasks.contracts import surface_names
from tasks.datasets.world.generate import generate
from tests.e2e.installation import Installation
from tests.feeds import mini

EARLY: Final = 5
"""The day with which the last one is compared."""


def main() -> int:
    """Play the days in a folder of their own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surfaces", type=int, default=20)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--retrain-every", type=int, default=8, metavar="DAYS")
    parser.add_argument("--releases", type=int, default=3, help="how many of the newest are kept")
    parser.add_argument("--requests-per-day", type=int, default=mini.REQUESTS_PER_DAY)
    parser.add_argument("--folder", type=Path, help="where it is played and left (default: thrown away)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        return _soak(asked, (asked.folder or Path(thrown_away)).resolve())


def _soak(asked: argparse.Namespace, folder: Path) -> int:
    calendar = Calendar(asked.days, asked.retrain_every)
    world, passing, layout = folder / "world", folder / "tmp", Layout(folder / "home", folder / "surfaces")
    days = world_days(calendar)
    if not layout.surfaces.exists():
        generate(days=days, requests_per_day=asked.requests_per_day, seed=mini.SEED, out=world)
        add_surfaces(layout.surfaces, count=asked.surfaces, days=days, releases=asked.releases)
    names = surface_names(layout.surfaces)
    passing.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(passing)
    layout = layout.with_free_ports()
    journal = folder / "days.jsonl"
    played = [
        Day.of(json.loads(line))
        for line in (journal.read_text(encoding="utf-8").splitlines() if journal.exists() else ())
    ]
    with lock_home(layout):
        bring_up(layout, print)
    try:
        first = played[-1].number + 1 if played else 1
        soak = Soak(Installation(layout, world), names, calendar, partial(print, flush=True), first)
        with suppress(KeyboardInterrupt):
            for day in soak.play():
                played.append(day)
                with journal.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(asdict(day)) + "\n")
                if day.number == EARLY:
                    shutil.copytree(layout.home, folder / "early", ignore=shutil.ignore_patterns("airflow"))
    finally:
        with lock_home(layout):
            stop(layout)
    print(*table(played), sep="\n")
    if len(played) > EARLY:
        homes = {EARLY: folder / "early", played[-1].number: layout.home}
        seconds = next_days(
            homes, surfaces=layout.surfaces, world=world, surface=names[0], environment=os.environ
        )
        print(
            *(f"the day after day {day}: {one:.2f} processor seconds" for day, one in seconds.items()),
            sep="\n",
        )
    left = [*played[-1].orphans, *map(str, passing.iterdir())]
    print(*left, sep="\n")
    return int(bool(left))


def table(played: Sequence[Day]) -> Iterator[str]:
    """Yield the rows of day 5 and the last day, each the median of three days, and their ratio."""
    early, last = [day for day in played if day.number >= EARLY - 1][:3], played[-3:]
    yield f"| of | measure | day {early[1].number} | day {played[-1].number} | ratio |"
    yield "| --- | --- | --- | --- | --- |"
    before, after = _medians(early), _medians(last)
    for (of, name), value in after.items():
        earlier = before.get((of, name), 0.0)
        ratio = f"{value / earlier:.2f}" if earlier else ""
        yield f"| {of} | {name} | {earlier:.1f} | {value:.1f} | {ratio} |"


def _medians(days: Sequence[Day]) -> dict[tuple[str, str], float]:
    values = [{(of, name): value for of, name, value in measures(day)} for day in days]
    return {key: median(one.get(key, 0.0) for one in values) for key in values[-1]}


if __name__ == "__main__":
    sys.exit(main())
