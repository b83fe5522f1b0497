"""Eight weeks of a feed that Equipoise's releases serve: real retrains, gates, promotions, ramps and alarms.

::

    each morning   labels and monitor up to midnight   ->  alarms, units to review; faults that were noticed
                   the ramp, where a release ramps     ->  wait, advance, ask, roll back, end
                   the agenda's next work, where none does
    each day       champion and canary serve           ->  the day's log, from which the next ones learn
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.operating_worlds.surface import SURFACE
from benchmarks.tour.calendar import FIRST_DAY, Fault, Plan, date_of
from benchmarks.tour.clock import Clock, midnight
from benchmarks.tour.figures import figures_of
from benchmarks.tour.journal import EventKind, Journal
from benchmarks.tour.surface import COST, write_contracts
from benchmarks.tour.team import FirstApproval, Team
from benchmarks.tour.watch import SPAMMER, Watch
from tasks import columns as c
from tasks.datasets.world.loop import Served, Server, serve_arms, serve_decision
from tasks.experiments.ramp_log import place_of
from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.ranking.decide import decide
from tasks.release.loading import LoadedRelease
from tasks.release.view import load
from tasks.stores.aliases import CANARY, CHAMPION
from tasks.stores.audit import live_ramps

_LOST = 1e-6
"""What a deployment that loses a cost decides by."""


class ServedFeed:
    """Plays the tour in a folder.

    Parameters
    ----------
    approve_first : promotes the first release; by default in this process.
    """

    def __init__(
        self, folder: Path, plan: Plan, journal: Journal, *, approve_first: FirstApproval | None = None
    ) -> None:
        surfaces, home = write_contracts(folder / "surfaces"), folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.plan, self.journal = plan, journal
        self.loop = plan.open_loop()
        self.logs = home / "logs" / SURFACE
        clock = Clock(midnight(FIRST_DAY))
        self.team = Team(surfaces, home, clock, journal, approve_first, breaks=plan.breaks)
        self.watch = Watch(journal)
        self.policy = self.team.workspace.contracts.utility
        self._agenda, self._present, self._to_mend = list(plan.agenda), list[Fault](), list[Fault]()
        self._release: Callable[[int], LoadedRelease] = cache(
            lambda version: load(self.team.workspace, version)
        )

    def play(self) -> Journal:
        """Play the log before the first release and all days of the tour."""
        while self.loop.day < self.plan.before:
            self.loop.play().write(self.logs)
        for day in range(self.plan.days):
            self.team.day, self.team.clock.now = day, midnight(date_of(day))
            self._morning(day)
            self._serve(day)
        return self.journal

    def _morning(self, day: int) -> None:
        self._mend(day)
        if day and day % self.plan.watched_every == 0:
            labels.run(self.team.workspace, as_of=self.team.clock.now)
            result = monitor.run(self.team.workspace, as_of=self.team.clock.now)
            self._to_mend += self.watch.read(day, self._present, result)
        if CANARY in self.team.aliases:
            self.team.watch_ramp()
        elif self._agenda and self._agenda[0][0] <= day:
            made = self.team.do(self._agenda.pop(0)[1])
            self._to_mend += self.watch.read_gates(day, self._present, made)
        for fault in self.plan.faults:
            if fault.day == day:
                self._present.append(fault)
                self.journal.tell(day, EventKind.FAULT, fault.name)

    def _mend(self, day: int) -> None:
        """Mend what was noticed the day before."""
        for fault in [one for one in self._to_mend if one.mended]:
            self.loop.end(fault.drift)
            self._present.remove(fault)
            self.journal.tell(day, EventKind.MENDED, fault.mended, by="a person")
        self._to_mend = []

    def _serve(self, day: int) -> None:
        aliases, offered = self.team.aliases, list[pd.DataFrame]()
        champion, canary = aliases[CHAMPION], aliases.get(CANARY)
        servers = [self._server(champion, "control")]
        servers += [self._server(canary, "treatment")] if canary else []
        ramp = live_ramps(self.team.workspace.audit.entries()).get(canary or 0)
        share = float(ramp.newest.share or 0.0) if ramp else 0.0

        def serve(candidates: pd.DataFrame) -> Served:
            offered.append(candidates)
            if canary is None:
                return servers[0](candidates)
            return serve_arms(
                candidates, lambda user: int(place_of(user, surface=SURFACE, release=canary) < share), servers
            )

        played = self.loop.play(serve)
        played.write(self.logs)
        self.journal.days.append(
            figures_of(played, offered[0], policy=self.policy, spammer=SPAMMER, day=day, canary=share)
        )

    def _server(self, version: int, arm: str) -> Server:
        release = self._release(version)
        policies = self.team.policies[version]
        loses_cost = self.team.broken is not None and version == self.team.broken[0]

        def serve(candidates: pd.DataFrame) -> Served:
            predictions = release.predict(candidates)
            lost = {c.probability(COST): np.full(len(candidates), _LOST)} if loses_cost else {}
            decision = decide(candidates, predictions | lost, *policies)
            return serve_decision(decision, predictions, release=str(version), arm=arm)

        return serve
