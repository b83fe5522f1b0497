"""What simulation and shadow found, as documents: the decision of a release beside that of another."""

from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from tasks.evaluation.documents import CLOSED, Document, MaybeFloat, Section
from tasks.evaluation.evidence import HeadInputs
from tasks.evaluation.planning import Growth
from tasks.evaluation.policy_changes import ExampleSlot
from tasks.evaluation.subjects import STATED, Segment, Subject
from tasks.evaluation.verdicts import Estimate, Verdict


@dataclass(frozen=True)
class DayChange:
    """The relative change on one day."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    day: date
    change: MaybeFloat


@dataclass(frozen=True)
class Measured:
    """A metric of the policy and its baseline in one segment, as one judge sees it.

    ``relative`` is policy / baseline - 1. ``reason`` says why a figure is missing, or may not be judged;
    ``judge`` names whose predictions were believed (the same for metrics of outcomes). ``events``: the fewer
    of the positive outcomes in the slots of both; None for what counts none. ``pooled``: the values that the
    segment holds where each of them alone is too thin. ``labelled_share``: of a task's outcomes, the share of
    the policy's looks that fall on items whose outcome is known; on the whole only. ``growth``: how the
    variance of the change falls with test days, by user and by item; of the release under test on the whole
    only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    subject: Annotated[Subject, STATED]
    segment: Annotated[Segment, STATED]
    judge: str
    policy: Estimate | None
    baseline: Estimate | None
    relative: Estimate | None
    reason: str = ""
    events: int | None = None
    by_day: tuple[DayChange, ...] = ()
    pooled: tuple[str, ...] = ()
    labelled_share: float | None = None
    growth: tuple[Growth, ...] = ()


class SegmentComparison(Section):
    """What a task loses against the champion in one segment; see `ChampionComparison`."""

    segment: Annotated[Segment, STATED]
    auc_by_request_drop: Estimate | None
    normalized_entropy_rise: Estimate | None
    relative_squared_error_rise: Estimate | None = None
    relative_pinball_loss_rise: Estimate | None = None


class ChampionComparison(Section):
    """What a task loses against the champion on the same rows.

    ``auc_drop`` is that of the pooled AUC. ``auc_by_request_drop`` is None of a request-level task, whose
    rows are one a request.
    A value or a quantile has an error of its own and no order of outcomes, a ranking head the order alone.
    """

    task: str
    auc_drop: Estimate | None
    normalized_entropy_rise: Estimate | None
    auc_by_request_drop: Estimate | None = None
    relative_squared_error_rise: Estimate | None = None
    relative_pinball_loss_rise: Estimate | None = None
    segments: tuple[SegmentComparison, ...] = ()


class TermShare(Section):
    """A term of the utility in the slots: what it adds to one, and how far it moves candidates apart."""

    task: str
    prediction: MaybeFloat
    contribution: MaybeFloat
    spread: MaybeFloat
    weight: float
    times: str | None


class UtilityComposition(Section):
    """Mean utility of a slot, its spread within requests, and the terms that make it."""

    utility: MaybeFloat
    spread: MaybeFloat
    terms: tuple[TermShare, ...]


class SlateRule(Section):
    """How often a slate rule was met.

    ``slates`` it was asked of; ``unmet``: those that fall short of it, by ``slots_short`` slots in all. Of
    them ``too_few`` had too few candidates left by constraints and floors; in the others a rule that claims
    slots before it, or the length, kept candidates out.
    """

    rule: str
    slates: int
    unmet: int
    too_few: int
    slots_short: int


class ConstraintLeak(Section):
    """A hard constraint of a release, and how many candidates that it keeps out got a slot all the same."""

    constraint: str
    items: int


class OffPolicyCheck(Section):
    """A figure of outcomes as the replay has it, beside what the log's propensities alone say of it.

    Attributes
    ----------
    subject, against : the metric, and the baseline of a change.
    bound : whether what is bounded, and so compared, is the policy's level or its relative change.
    replayed, off_policy : the figure by the replay and by ``estimator``, with the replay's model in both.
    without_model : the same weights without that model.
    difference : off_policy less replayed, whose interval is of both on the same rows.
    ess, max_weight : effective rows behind the policy's weights, and the largest of these.
    verdict : ``disagrees`` where the interval of the difference lies off 0.
    reason : why it is inconclusive.
    """

    subject: Annotated[Subject, STATED]
    against: str
    bound: Literal["level", "change"]
    estimator: str
    replayed: Estimate
    off_policy: Estimate
    without_model: Estimate
    difference: Estimate
    ess: MaybeFloat
    max_weight: MaybeFloat
    verdict: Literal["agrees", "disagrees", "inconclusive"]
    reason: str = ""


class SimulationEvidence(Document):
    """A release's decision replayed beside a baseline, and further policies beside the same one.

    ``others``, ``judged``: what each further policy was measured at, and its primary and guardrails.
    ``slate_rules`` are those of the release's own slates; none of a release made before certificates.
    ``off_policy``: of the primary and the guardrails, where the log has propensities; it judges nothing.
    """

    document: Literal["simulation"] = "simulation"
    version: Literal[1] = 1
    release: int
    champion: int | None
    baseline: str
    report: str
    guardrails: tuple[Verdict, ...]
    measured: tuple[Measured, ...]
    others: dict[str, tuple[Measured, ...]]
    comparisons: tuple[ChampionComparison, ...] | None
    composition: UtilityComposition | None
    notes: tuple[str, ...]
    slate_rules: tuple[SlateRule, ...] = ()
    off_policy: tuple[OffPolicyCheck, ...] = ()
    judged: dict[str, tuple[Verdict, ...]] = Field(default_factory=dict)


class ShadowComparison(Section):
    """Two releases on one day's candidates, with user-clustered intervals."""

    requests: int
    candidates: int
    overlap_at_k: Estimate
    rank_correlation: Estimate
    score_shift: Estimate


class Reproduction(Section):
    """How far what was logged when serving lies from what the release gives now."""

    rows: int
    greatest_difference: float


class MovedItem(Section):
    """An item that came or rose, and the term of the utility that did it: what it adds under either release.

    ``place_before`` is where it stood under the champion; None off its slate.
    """

    item: str
    place: int
    place_before: int | None
    task: str
    before: MaybeFloat
    after: MaybeFloat


class ShadowExample(Section):
    """A request under champion and challenger; ``replaced``: slots whose item the champion leaves out."""

    request: str
    replaced: int
    slots: tuple[ExampleSlot, ...]
    moved: MovedItem | None


class PackedScores(Section):
    """How far what MLflow serves of a release lies from what was replayed, on the same candidates.

    ``problem``: why nothing could be compared, empty where it was.
    """

    rows: int
    greatest_difference: MaybeFloat
    problem: str = ""


class FilledSlots(Section):
    """Requests, those of them whose slate is empty, and the slots that a policy fills in all of them."""

    requests: int
    empty: int
    slots: int


class ScoringFailures(Section):
    """Requests of a day that releases do not answer; ``alone`` of them were scored one at a time too.

    ``example`` is what the challenger raised; ``champion`` is None for a first release. Of the challenger's
    ``empty`` have an empty slate, most of whose candidates ``emptied_by`` drops.
    """

    requests: int
    alone: int
    challenger: int
    champion: int | None
    example: str
    empty: int = 0
    emptied_by: str = ""


class ScoringTimes(Document):
    """How long releases took to score the same requests in alternation, in milliseconds a request.

    What the clock said is no part of the shadow's evidence: the same inputs do not give it again.
    """

    document: Literal["scoring_times"] = "scoring_times"
    version: Literal[1] = 1
    requests: int
    candidates: int
    challenger_ms: Estimate
    champion_ms: Estimate
    ratio: Estimate


class ShadowEvidence(Document):
    """Challenger and champion on the newest day's traffic; nothing is compared for a first release.

    ``examples``: the requests that differ most. ``leaks``: of the challenger.
    ``inputs``: what its heads read on that day, compared with what they learned from.
    ``filled``, ``filled_by_champion``: slots on the day's candidates.
    """

    document: Literal["shadow"] = "shadow"
    version: Literal[1] = 1
    challenger: int
    champion: int | None
    day: date
    candidates: int
    comparison: ShadowComparison | None
    reproduced: Reproduction | None
    examples: tuple[ShadowExample, ...] = Field(default=(), repr=False)
    packed: PackedScores
    failures: ScoringFailures
    leaks: tuple[ConstraintLeak, ...] = ()
    inputs: tuple[HeadInputs, ...] = ()
    filled: FilledSlots
    filled_by_champion: FilledSlots | None = None
