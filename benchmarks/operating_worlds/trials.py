"""What came of one release in one world: the decision, its reasons, and the truth beside every interval."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from benchmarks.operating_worlds.gate import Gate, Judged
from benchmarks.operating_worlds.head_figures import HeadFigures
from benchmarks.operating_worlds.past_gains import PastGains
from benchmarks.operating_worlds.policies import Candidate, candidates, ranked, true_utility
from benchmarks.operating_worlds.scored_slice import Floats, ScoredSlice, read_or_make
from benchmarks.operating_worlds.settings import CHAMPION, SETTINGS, logged
from benchmarks.operating_worlds.truth import (
    HARMFUL_PRIMARY,
    Integers,
    Rows,
    TrueChange,
    change,
    cost_bounds,
    discounts,
    looks,
    true_change,
    weighted_mean,
)
from benchmarks.operating_worlds.worlds import World
from tasks import columns as c
from tasks.contracts.metrics import MetricKind
from tasks.evaluation.documents import MaybeFloat
from tasks.evaluation.evidence import Measured
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Segment, Subject
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.promotion.decision import decide_release
from tasks.replay.log import PolicySlates

_OF_TRUTH: Final = (MetricKind.RATE, MetricKind.NDCG, MetricKind.OBSERVED_UTILITY)


@dataclass(frozen=True)
class Change:
    """A change with its printed interval, NaN without one, and the true one."""

    metric: str
    kind: str
    segment: Segment
    value: MaybeFloat
    low: MaybeFloat
    high: MaybeFloat
    true: MaybeFloat


@dataclass(frozen=True)
class Reason:
    """A verdict that holds a release; ``days`` are the test days that would decide it, if known."""

    gate: str
    subject: str
    segment: Segment
    outcome: str
    days: int | None = None


@dataclass(frozen=True)
class Trial:
    """A release in a world.

    Attributes
    ----------
    setting : one of `settings.SETTINGS`.
    primary, rates : the true change of the primary, and of the rate of each task.
    levels : the true rate of each task under the baseline.
    harmful : whether it truly does harm.
    promoted : by the whole gate; ``replay`` by its decision alone, without the heads' own gates.
    """

    setting: str
    candidate: str
    primary: MaybeFloat
    rates: dict[str, MaybeFloat]
    levels: dict[str, MaybeFloat]
    harmful: bool
    promoted: bool
    replay: bool
    reasons: tuple[Reason, ...]
    changes: tuple[Change, ...]

    @property
    def told(self) -> bool:
        """Whether all that holds the release names the test days that would decide it."""
        return bool(self.reasons) and all(reason.days is not None for reason in self.reasons)


_TRIALS: Final = TypeAdapter(tuple[Trial, ...])


def run(
    world: World,
    settings: Sequence[str],
    *,
    again: bool = False,
    releases: Collection[str] | None = None,
    past: PastGains | None = None,
) -> dict[str, tuple[Trial, ...]]:
    """Put every release of a world before the gate in each setting; what was done before is read.

    Parameters
    ----------
    again : judge anew on the heads that are there.
    releases : judge these alone; by default those of each setting.
    past : gains of earlier retrains by setting; None is a surface that was not retrained before.
    """
    files = {setting: world.folder / f"{setting}.json" for setting in settings}
    missing = [setting for setting, file in files.items() if again or not file.exists()]
    if missing:
        heads = HeadFigures(read_or_make(world))
        for setting in missing:
            _write(files[setting], _trials(world, heads, setting, releases, (past or {}).get(setting, {})))
    return {setting: read(file) for setting, file in files.items()}


def _write(file: Path, trials: Iterator[Trial]) -> None:
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(_TRIALS.dump_json(tuple(trials), indent=1))
    unfinished.rename(file)


def read(file: Path) -> tuple[Trial, ...]:
    """Read the trials of a world in one setting."""
    return _TRIALS.validate_json(file.read_bytes())


def _trials(
    world: World,
    heads: HeadFigures,
    setting: str,
    releases: Collection[str] | None,
    past: Mapping[Subject, Sequence[float]],
) -> Iterator[Trial]:
    of, seed = SETTINGS[setting], world.seed
    chosen = releases or of.releases
    data = logged(world, heads.data, setting)
    examination = data.estimated_examination() if of.estimated else data.declared_examination()
    figures = heads if data is heads.data else HeadFigures(data)
    gate = Gate(figures, examination, complete=of.complete, past=past)
    truth = Truth(data, true_utility(data))
    whole = {} if of.complete else _changes_of_all(heads.data, seed)
    for candidate in candidates(data, seed=seed):
        if chosen is None or candidate.name in chosen:
            yield _trial(gate, truth, candidate, setting, whole.get(candidate.name))


def _changes_of_all(data: ScoredSlice, seed: int) -> dict[str, TrueChange]:
    """Return what each release truly changes against the champion where it ranks all candidates."""
    truth, champion = Truth(data, true_utility(data)), ranked(data, CHAMPION, data.champion)
    return {one.name: truth.change(one, champion.slot) for one in candidates(data, seed=seed)}


@dataclass(frozen=True)
class Truth:
    """The truth of a test slice, by which any slots are measured."""

    data: ScoredSlice
    utility: Floats

    def levels(self, slates: PolicySlates) -> dict[str, float]:
        """Return the true rate of each task in a policy's slots."""
        weights = looks(slates.slot)
        return {task: weighted_mean(self.of(task), weights) for task in self.data.tasks}

    def of(self, task: str) -> Floats:
        """Return a task's true probabilities, shape [n]."""
        return self.data.truth[c.probability(task)]

    def change(self, served: Candidate, baseline: Integers) -> TrueChange:
        """Return what people would truly get of a release against its baseline."""
        truth = {task: self.of(task) for task in self.data.tasks}
        return true_change(served.served, baseline, truth, self.utility)

    def harms_part(self, served: Candidate, baseline: Integers) -> bool:
        """Say whether the part of the users that a release is about truly loses against its baseline."""
        if served.part is None:
            return False
        ours, theirs = (
            weighted_mean(self.utility, looks(slot), served.part) for slot in (served.served, baseline)
        )
        return change(ours, theirs) <= HARMFUL_PRIMARY

    def measured(self, measured: Measured, candidate: Candidate, judged: Judged) -> float:
        """Return the true change that an interval is about."""
        within = self._rows(measured)
        weigh = discounts if measured.subject.metric == MetricKind.NDCG else looks
        values = self._values(measured, candidate, judged.baseline)
        ours, theirs = (weigh(slot) for slot in (candidate.slot, judged.baseline.slot))
        return change(weighted_mean(values, ours, within), weighted_mean(values, theirs, within))

    def _values(self, measured: Measured, candidate: Candidate, baseline: PolicySlates) -> Floats:
        """Return the truth of a metric by row; a logged order has no weights, so the release's own count."""
        if measured.subject.metric != MetricKind.OBSERVED_UTILITY:
            return self.of(measured.subject.task)
        return self.utility if baseline.worth else true_utility(self.data, candidate.policy)

    def _rows(self, measured: Measured) -> Rows | None:
        """Return the rows of a segment, which may pool values; None is the whole."""
        if measured.segment == ALL:
            return None
        values = self.data.candidates[measured.segment.column].astype(str)
        return values.isin(measured.pooled or (measured.segment.value,)).to_numpy()


def _trial(gate: Gate, truth: Truth, candidate: Candidate, setting: str, whole: TrueChange | None) -> Trial:
    """Judge a release; ``whole`` is what it truly changes where the gate sees a part of the candidates."""
    judged = gate.judge(candidate, first=SETTINGS[setting].first)
    true = whole or truth.change(candidate, judged.baseline.slot)
    gates = gate.contracts.surface.gates
    replayed = [verdict for verdict in judged.verdicts if verdict.gate == "decision"]
    return Trial(
        setting=setting,
        candidate=candidate.name,
        primary=true.primary,
        rates=dict(true.rates),
        levels=truth.levels(judged.baseline),
        harmful=truth.harms_part(candidate, judged.baseline.slot)
        or true.harmful(cost_bounds(gate.contracts)),
        promoted=judged.decision.verdict == "promote",
        replay=decide_release(replayed, inconclusive=gates.inconclusive).verdict == "promote",
        reasons=tuple(_reasons(judged.verdicts, gates.inconclusive)),
        changes=()
        if whole or (candidate.slot != candidate.served).any()
        else tuple(_changes(truth, candidate, judged)),
    )


def _reasons(verdicts: Sequence[Verdict], inconclusive: Any) -> Iterator[Reason]:
    """Yield the verdicts that hold a release, each judged as if it stood alone beside a pass."""
    passed = Verdict("", Subject(""), ALL, Outcome.PASS, NO_THRESHOLD, None)
    for verdict in verdicts:
        if decide_release([passed, verdict], inconclusive=inconclusive).verdict == "hold":
            days = verdict.power.days_needed if verdict.power else None
            yield Reason(verdict.gate, str(verdict.subject), verdict.segment, str(verdict.outcome), days)


def _changes(truth: Truth, candidate: Candidate, judged: Judged) -> Iterator[Change]:
    """Yield the intervals on the whole and in the segments that guardrails name, each beside the truth."""
    rails = truth.data.contracts.utility.guardrails
    named = {(rail.metric, column) for rail in rails for column in rail.by}
    for measured in judged.measured:
        seen, column = measured.relative, measured.segment.column
        if measured.subject.metric not in _OF_TRUTH or seen is None:
            continue
        if column and (measured.subject.name, column) not in named:
            continue
        yield Change(
            metric=measured.subject.name,
            kind=measured.subject.metric,
            segment=measured.segment,
            value=seen.value,
            low=seen.low,
            high=seen.high,
            true=truth.measured(measured, candidate, judged),
        )
