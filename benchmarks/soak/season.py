"""Days without a hand: what Airflow runs for each surface, day by day, and what the installation holds then.

::

    every day           labels -> monitor
    1, 9, 17, ...       retrain -> promote, approved by a reviewer of each role
    2, 18, 34, ...      a new version of utility.yaml -> policy_change -> promote
    3, 11, 19, ...      prune

A day takes as long as its runs take. Every run is one of Airflow's, started by its API as of the simulated
midnight; the scheduler orders its steps.
Retention counts real days, of which the soak has none. So after the run of the DAG, which finds nothing old,
``prune.run`` removes what it would remove a month later: all that nothing needs.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any, Final, Self

from benchmarks.soak.measured import Used, orphans, sizes, used
from benchmarks.soak.surfaces import HISTORY, change_policy, deliver
from benchmarks.tour.airflow import approve_in
from tasks.errors import GateRefused
from tasks.promotion import prune
from tasks.stores.workspace import Workspace
from tests.e2e.installation import Installation
from tests.feeds import mini

_LATER: Final = timedelta(days=30)
_AT_ONCE: Final = 4
"""Surfaces that are retrained at once; the daily runs of all surfaces begin together."""


@dataclass(frozen=True)
class Calendar:
    """On which days what happens, from day 1; a policy that changes every day never does."""

    days: int = 60
    retrain_every: int = 8
    policy_every: int = 16
    prune_every: int = 8

    def retrains(self, day: int) -> bool:
        """Whether a release is made of the day's labels."""
        return day % self.retrain_every == 1

    def changes_policy(self, day: int) -> bool:
        """Whether a new version of the utility policy is merged."""
        return day % self.policy_every == 2

    def prunes(self, day: int) -> bool:
        """Whether what is no longer kept is removed."""
        return day % self.prune_every == 3


@dataclass(frozen=True)
class Day:
    """A day's end.

    Attributes
    ----------
    seconds : of the steps of the daily runs of one surface, the median over surfaces.
    processor_seconds : by service, during the daily runs, for one surface; steps are the scheduler's.
    """

    number: int
    seconds: float
    processor_seconds: Mapping[str, float]
    bytes: Mapping[str, int]
    files: Mapping[str, int]
    services: Mapping[str, Used]
    orphans: Sequence[str]

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """Return the day of a line of the journal."""
        services = {name: Used(**one) for name, one in plain.pop("services").items()}
        return cls(**plain, services=services)


@dataclass(frozen=True)
class Soak:
    """An installation, its soaked surfaces, the whole log that is delivered day by day, and the first day."""

    installation: Installation
    surfaces: Sequence[str]
    calendar: Calendar
    say: Callable[[str], object] = print
    first: int = 1

    def play(self) -> Iterator[Day]:
        """Play day after day; yield each day's end.

        Raises
        ------
        AssertionError
            A run of Airflow failed; it shows the logs of its failed steps.
        """
        with ThreadPoolExecutor(len(self.surfaces)) as every, ThreadPoolExecutor(_AT_ONCE) as some:
            for number in range(self.first, self.calendar.days + 1):
                yield self._day(number, every, some)

    def _day(self, number: int, every: ThreadPoolExecutor, some: ThreadPoolExecutor) -> Day:
        began, home = time.monotonic(), self.installation.home
        as_of = mini.FIRST + timedelta(days=HISTORY + number)
        deliver(self.installation.world, home / "logs", until=as_of)
        before = used(self.installation.layout)
        seconds = median(every.map(partial(self._daily, as_of=as_of), self.surfaces))
        spent = {
            name: (after.processor_seconds - before[name].processor_seconds) / len(self.surfaces)
            for name, after in used(self.installation.layout).items()
        }
        list(some.map(partial(self._sometimes, number=number, as_of=as_of), self.surfaces))
        left = list(orphans(self.installation.layout))
        day = Day(number, seconds, spent, *sizes(home), used(self.installation.layout), left)
        took, megabytes = time.monotonic() - began, sum(day.bytes.values()) / 1e6
        self.say(
            f"day {number}: {seconds:.1f} s and {sum(spent.values()):.1f} processor seconds a surface, "
            f"{megabytes:.0f} MB, {len(left)} orphans, took {took:.0f} s"
        )
        return day

    def _daily(self, surface: str, *, as_of: datetime) -> float:
        at = {"as_of": as_of.isoformat()}
        return sum(self._ran(f"{surface}__{workflow}", at) for workflow in ("labels", "monitor"))

    def _sometimes(self, surface: str, *, number: int, as_of: datetime) -> None:
        if self.calendar.retrains(number):
            self._ran(f"{surface}__retrain", {"as_of": as_of.isoformat()})
            self._promote(surface, {"why": "fresher"})
        if self.calendar.changes_policy(number):
            change_policy(self.installation.surfaces / surface)
            self._ran(f"{surface}__policy_change", {})
            self._promote(surface, {"why": "clicks count more", "waiver": "a hundredth"})
        if self.calendar.prunes(number):
            self._ran(f"{surface}__prune", {})
            prune.run(self._open(surface), now=datetime.now(UTC) + _LATER)

    def _promote(self, surface: str, form: Mapping[str, str]) -> None:
        workspace = self._open(surface)
        release = workspace.store.registry.aliases(f"{surface}.release")["challenger"]
        self.installation.ready(f"{surface}__promote")
        try:
            approve_in(self.installation.layout, lambda _: None, form=form)(workspace, release)
        except GateRefused as error:
            self.say(
                f"{surface}: release {release} stays the challenger. {str(error).splitlines()[-2].strip()}"
            )

    def _ran(self, dag: str, conf: Mapping[str, Any]) -> float:
        """Run a DAG to its end; return the seconds of its steps."""
        run = self.installation.run(dag, conf)
        self.installation.succeed(dag, run)
        instances = self.installation.airflow().instances(dag, run)
        return sum(float(one["duration"] or 0.0) for one in instances)

    def _open(self, surface: str) -> Workspace:
        return Workspace.open(surface, surfaces=self.installation.surfaces, home=self.installation.home)


def world_days(calendar: Calendar) -> int:
    """Return the days of log that a calendar needs, and one more."""
    return HISTORY + calendar.days + 1


def measures(day: Day) -> Iterator[tuple[str, str, float]]:
    """Yield every figure of a day: what it is about, its name with the unit, and the value."""
    yield "daily run", "seconds of its steps", day.seconds
    yield "daily run", "processor seconds", sum(day.processor_seconds.values())
    for name, seconds in day.processor_seconds.items():
        yield "daily run", f"processor seconds of {name}", seconds
    for kind, size in sorted(day.bytes.items()):
        yield "home", f"{kind}, MB", size / 1e6
    yield "home", "files", float(sum(day.files.values()))
    yield "home", "orphaned files", float(len(day.orphans))
    for name, one in day.services.items():
        yield name, "memory, MB", one.memory / 1e6
        yield name, "open files", float(one.open_files)
