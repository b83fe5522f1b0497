"""A season of one world: fourteen weeks by one champion, then eight of retrain, gate, ramp and monitor.

::

    weeks 1 to 14    the champion serves, retrained twice: the monitor needs the history, else 4 weeks
    each week        unless a release ramps, a retrain passes the gate on the loop's own log or is held
    each day         the ramp's release is compared with the champion: wait, advance, ask, roll back, finish
    last             alarms on the series of all days

Where a ramp asks, a person rolls back what seems harmed beyond its bound, and else lets it go on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from benchmarks.operated.days import Outcomes, Sample, sample, series_of, truth_for_heads
from benchmarks.operated.releases import EQUAL, KINDS, Floats, Release, levelled, train
from benchmarks.operating_worlds.gate import Gate
from benchmarks.operating_worlds.head_figures import HeadFigures
from benchmarks.operating_worlds.policies import Candidate
from benchmarks.operating_worlds.scored_slice import ScoredSlice
from benchmarks.operating_worlds.surface import SURFACE, write_surface
from benchmarks.operating_worlds.truth import looks
from tasks import columns as c
from tasks.contracts.gates import Ramp
from tasks.contracts.slate import Exploration
from tasks.datasets.world.catalog import DAY_US
from tasks.datasets.world.entities import Batch, Drift, drifts_on
from tasks.datasets.world.generate import START
from tasks.datasets.world.loop import ClosedLoop, LoopDay, Served, Server, serve_arms
from tasks.experiments.ramp import RampState, decide_ramp, guardrail_tasks, read_guardrails
from tasks.experiments.ramp_log import RampLog, place_of
from tasks.monitoring.alarms import HISTORY, read_alarms
from tasks.promotion.decision import GateDecision
from tasks.ranking.utility import compute_utilities
from tasks.stores.workspace import Workspace

TASKS: Final = ("click_30m", "satisfied_7d", "hide_7d", "report_7d")
WEEKS: Final = 8
DRIFTS_AFTER: Final = 28
"""Days after the first gate."""
EARLIER: Final = (42, 14)
"""Days before the first gate on which the champion was retrained without one."""
GATE_DAYS: Final = 14
MATURES: Final = 7
RAMP: Final = Ramp(guardrails=("hide_7d_rate", "satisfied_7d_rate"))
"""Reports come 1 in 7,000: no stage would ever have the events that exclude harm."""
ALONE: Final = 14
"""Days after which an alarm of a series counts as a new one."""


@dataclass
class Ended:
    """A release and how it ended.

    Attributes
    ----------
    end : `gate`, `stage 1` to `stage 4`, `champion`, or `unfinished` at the season's end.
    asked : how often its ramp asked a person.
    lost, hides : what the people that it served truly lost in utility and gained in hides against the
        champion's slates of the same requests, in days of the whole feed.
    """

    version: int
    kind: str
    end: str = "unfinished"
    days: int = 0
    asked: int = 0
    lost: float = 0.0
    hides: float = 0.0
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """What a season is played with.

    Attributes
    ----------
    explores : whether the last slot is drawn among the best 20 candidates that are left.
    gated : whether retrains pass the gate before the ramp.
    watched : whether there is the history that the monitor's alarms need.
    """

    requests_per_day: int
    explores: bool = True
    gated: bool = True
    watched: bool = True


@dataclass
class Season:
    """What a season came to; alarms as the days from its first drift on, below 0 where there was none yet."""

    seed: int
    drift: str
    releases: list[Ended] = field(default_factory=list)
    alarms: list[tuple[str, int]] = field(default_factory=list)


@dataclass
class Ramping:
    """The release that ramps: its stage, since when, and what its log holds."""

    release: Release
    ended: Ended
    began: int
    stage: int = 0
    since: int = 0
    rows: list[pd.DataFrame] = field(default_factory=list)
    sums: list[pd.DataFrame] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the users that it serves."""
        return RAMP.stages[self.stage].share


class Operation:
    """Plays a season; ``champion`` is set on its first day."""

    champion: Release

    def __init__(self, seed: int, setting: Setting, folder: Path) -> None:
        surfaces = write_surface(folder / "surfaces", tasks=TASKS, split={"test": f"P{GATE_DAYS}D"})
        self.workspace = Workspace.open(SURFACE, surfaces=surfaces, home=folder / "home")
        self.contracts = self.workspace.contracts
        drifts = (None, *Drift)
        self.drift = drifts[seed % len(drifts)] if setting.watched else None
        self.history = HISTORY if setting.watched else 28
        self.days, self.drifts_on = self.history + 7 * WEEKS, self.history + DRIFTS_AFTER
        self.drifts = {} if self.drift is None else {self.drift: self.drifts_on}
        self.loop = ClosedLoop(
            seed=seed, requests_per_day=setting.requests_per_day, days=self.days, drifts=self.drifts
        )
        exploration = Exploration(slots=1, salt="weeks", among=20) if setting.explores else None
        slate = self.contracts.slate.model_copy(update={"exploration": exploration})
        self.gated = setting.gated
        self.policies = (self.contracts.utility, slate)
        self.looks = np.zeros(len(self.loop.world.catalog.born))
        self.samples: list[Sample] = []
        self.season = Season(seed, self.drift or "")
        self.series: list[dict[str, object]] = []
        self.ramping: Ramping | None = None
        self.places: dict[tuple[int, str], float] = {}
        self.versions = 0

    def play(self) -> Season:
        """Play all days."""
        self.loop.play()  # the world's own ranker serves the day from which the first release learns
        self.champion = self._trained(EQUAL, level=False)
        while self.loop.day < self.days:
            if self.history - self.loop.day in EARLIER:
                self.champion = self._trained(EQUAL)
            weeks, day = divmod(self.loop.day - self.history, 7)
            if weeks >= 0 and not day and self.ramping is None:
                self._retrain()
            self._day()
            if self.ramping is not None:
                self._look(self.ramping)
        if self.ramping is not None:
            self.ramping.ended.days = self.loop.day - self.ramping.began
        self._read_alarms()
        return self.season

    # a day

    def _day(self) -> None:
        on = drifts_on(self.drifts, self.loop.day)
        day = self.loop.play(lambda candidates: self._serve(candidates, on))
        outcomes = Outcomes.of(day)
        np.add.at(self.looks, day.shown.item, looks(day.shown.position))
        heads = self._heads
        self.samples = [*self.samples[-GATE_DAYS - MATURES :], sample(day, outcomes, heads)]
        self.series += series_of(day, outcomes)
        if self.ramping is not None:
            self._log_ramp(self.ramping, day, outcomes)
            self._harm(self.ramping, day)

    @property
    def _offered(self) -> Batch:
        if self.loop.offered is None:
            raise RuntimeError("The loop has not begun a day: nothing is offered")
        return self.loop.offered

    def _serve(self, candidates: pd.DataFrame, on: frozenset[Drift]) -> Served:
        batch = self._offered
        naive = truth_for_heads(self.loop.world, batch, on, learned=False)
        knowing = truth_for_heads(self.loop.world, batch, on, learned=True) if on else naive
        self._heads = (naive, knowing)
        self._frame, item = candidates, batch.item.ravel()
        releases = [self.champion, *([self.ramping.release] if self.ramping else [])]

        def server(release: Release, arm: str) -> Server:
            def serve(part: pd.DataFrame) -> Served:
                rows = part.index.to_numpy()
                truth = {task: self._heads[release.drifted][task][rows] for task in release.heads}
                return release.serve(part, truth, item[rows], arm=arm)

            return serve

        servers = [
            server(release, arm) for release, arm in zip(releases, ("control", "treatment"), strict=False)
        ]
        return serve_arms(candidates, self._arm, servers)

    def _arm(self, user: str) -> int:
        if self.ramping is None:
            return 0
        version = self.ramping.release.version
        key = (version, user)
        if key not in self.places:
            self.places[key] = place_of(user, surface=SURFACE, release=version)
        return int(self.places[key] < self.ramping.share)

    # retrain and gate

    def _trained(self, kind: str, *, level: bool = True) -> Release:
        self.versions += 1
        tasks = tuple(self.contracts.tasks.tasks)
        batch = self._offered
        truth = truth_for_heads(self.loop.world, batch, frozenset(), learned=False)
        release = train(
            self.versions,
            kind,
            looks=self.looks,
            log={task: truth[task] for task in tasks},
            seed=self.season.seed,
            policies=self.policies,
        )
        if not level:
            return release
        learned = self.samples[:-MATURES]
        release = replace(release, drifted=self.loop.day > self.drifts_on + MATURES)
        shown = [one.candidates[c.SHOWN].to_numpy(dtype=bool) for one in learned]

        def of_shown(parts: Iterable[np.ndarray]) -> np.ndarray:
            return np.concatenate([values[rows] for values, rows in zip(parts, shown, strict=True)])

        return levelled(
            release,
            shown={task: of_shown(one.heads[release.drifted][task] for one in learned) for task in tasks},
            item=of_shown(one.item for one in learned),
            outcomes={
                task: of_shown(
                    one.candidates[task].to_numpy(dtype=np.float64, na_value=np.nan) for one in learned
                )
                for task in tasks
            },
        )

    def _retrain(self) -> None:
        kind = KINDS[(self.season.seed + self.versions) % len(KINDS)]
        release = self._trained(kind)
        ended = Ended(release.version, kind)
        self.season.releases.append(ended)
        decision = self._judge(release) if self.gated else GateDecision()
        if decision.verdict == "promote" or decision.canary_permitted:
            self.ramping = Ramping(release, ended, began=self.loop.day, since=self.loop.day)
        else:
            ended.end, ended.reasons = "gate", list(decision.reasons[:3])

    def _judge(self, release: Release) -> GateDecision:
        """Put a release before the gate, on the log whose labels are mature."""
        log = self.samples[:-MATURES]
        frame = pd.concat([one.candidates for one in log], ignore_index=True)
        item = np.concatenate([one.item for one in log])
        tasks = tuple(self.contracts.tasks.tasks)

        def predicted(of: Release) -> dict[str, Floats]:
            truth = {t: np.concatenate([one.heads[of.drifted][t] for one in log]) for t in tasks}
            return of.predict(truth, item)

        newest = START + timedelta(days=self.loop.day - GATE_DAYS - MATURES)
        data = ScoredSlice(
            self.workspace,
            frame,
            {c.probability(t): np.concatenate([one.truth[t] for one in log]) for t in tasks},
            predicted(self.champion),
            predicted(release),
            dict.fromkeys(tasks, newest),
            serving=release.slate,
        )
        gate = Gate(HeadFigures(data), data.declared_examination())
        decided = replace(release, kind=EQUAL).decide(frame, data.challenger)
        slot = decided.slate_position.astype(np.int64)
        candidate = Candidate(release.kind, data.challenger, release.utility, slot, slot, decided.utility)
        return gate.judge(candidate, first=False).decision

    # the ramp

    def _log_ramp(self, ramping: Ramping, day: LoopDay, outcomes: Outcomes) -> None:
        """Keep the impressions of both arms with the instants at which their outcomes become known."""
        arm = day.served.logged[c.ARM][day.shown.row]
        rows = {"user": day.shown.user, "treated": arm == "treatment", "at": day.shown.at}
        known = {task: outcomes.known_at[task] for task in guardrail_tasks(RAMP).values()}
        ramping.rows.append(pd.DataFrame({**rows, **known, "day": day.day, "stage": ramping.stage}))

    def _ramp_log(self, ramping: Ramping) -> RampLog:
        whole = self.loop.day - ramping.began - MATURES - 2
        for at, rows in enumerate(ramping.rows[max(whole, 0) :], start=max(whole, 0)):
            ramping.sums[at : at + 1] = [_sum_users(rows, now=self.loop.day * DAY_US)]
        summed = pd.concat(ramping.sums, ignore_index=True)
        shares = tuple(stage.share for stage in RAMP.stages[: ramping.stage + 1])
        as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self.loop.day)
        return RampLog(summed, summed["treated"].to_numpy(dtype=bool), shares, as_of)

    def _look(self, ramping: Ramping) -> None:
        """Read the ramp at the end of a day, and do what it decides."""
        log = self._ramp_log(ramping)
        waited = timedelta(days=self.loop.day - ramping.since)
        readings = read_guardrails(self.contracts, RAMP, log, stage=ramping.stage)
        decision = decide_ramp(
            RAMP, readings, stage=ramping.stage, waited=waited, problems=log.problems(waited=waited)
        )
        state = decision.state
        if state is RampState.ASK:
            ramping.ended.asked += 1
            harmed = any(one.change is not None and one.change > one.bound for one in readings)
            last = ramping.stage == len(RAMP.stages) - 1
            state = RampState.ROLL_BACK if harmed else RampState.FINISH if last else RampState.ADVANCE
        ramping.ended.reasons = list(decision.reasons)
        if state is RampState.ROLL_BACK:
            self._end(ramping, f"stage {ramping.stage + 1}")
        elif state is RampState.FINISH:
            self.champion = ramping.release
            self._end(ramping, "champion")
        elif state is RampState.ADVANCE:
            ramping.stage, ramping.since = ramping.stage + 1, self.loop.day

    def _end(self, ramping: Ramping, how: str) -> None:
        ramping.ended.end, ramping.ended.days = how, self.loop.day - ramping.began
        self.ramping = None

    def _harm(self, ramping: Ramping, day: LoopDay) -> None:
        """Add what the treated truly lost against the champion's slates of the same requests."""
        rows = np.flatnonzero(day.served.logged[c.ARM] == "treatment")
        truth = {c.probability(task): values for task, values in day.truth.items()}
        value = np.nan_to_num(compute_utilities(self._frame, truth, self.contracts.utility).utility)
        hides, served = day.truth["hide_7d"], looks(day.served.position)
        if len(rows):
            part, item = self._frame.iloc[rows], day.batch.item.ravel()[rows]
            known = {t: self._heads[self.champion.drifted][t][rows] for t in self.champion.heads}
            other = self.champion.decide(part, self.champion.predict(known, item)).slate_position
            gained = served[rows] - looks(other)
            ramping.ended.lost -= float((gained * value[rows]).sum() / (served * value).sum())
            ramping.ended.hides += float((gained * hides[rows]).sum() / (served * hides).sum())

    # the monitor

    def _read_alarms(self) -> None:
        """Read all alarms of the season, each series' at most once in a fortnight."""
        reading = read_alarms(pd.DataFrame(self.series), critical=(), sent={})
        drifted = START + timedelta(days=self.drifts_on)
        for subject, days in reading.raised.items():
            for before, at in zip([None, *days], days, strict=False):
                if before is None or (at - before).days > ALONE:
                    self.season.alarms.append((str(subject), (at - drifted).days))


def _sum_users(rows: pd.DataFrame, *, now: int) -> pd.DataFrame:
    """Return a day's impressions and events so far by user and arm, as a ramp reads them."""
    tasks = [*guardrail_tasks(RAMP).values()]
    events = {f"{task}__events": (rows[task] <= now).astype(np.int64) for task in tasks}
    by = rows.assign(**events).groupby(["user", "day", "stage", "treated"], sort=True)
    seen = {f"{task}__seen": by.size() for task in tasks}
    at = by["at"].agg(["min", "max"]) / 1e6
    return by[list(events)].sum().assign(**seen, first=at["min"], last=at["max"]).reset_index()
