"""What simulation, shadow and a comparison of policies found, as documents."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from tasks.evaluation.documents import Document, MaybeFloat, Section
from tasks.evaluation.evidence import ChampionComparison, HeadInputs, Measured, SlateRule, UtilityComposition
from tasks.evaluation.subjects import STATED, Segment, Subject
from tasks.evaluation.verdicts import Estimate, Verdict


class PolicySide(Section):
    """One of the two policies: how it was named, and what it is."""

    name: str
    policy: str
    version: int


class SlateRuleChange(Section):
    """A rule of the slate that differs, in the words of slate.yaml; None where a policy lacks it."""

    rule: str
    before: str | None
    after: str | None


class ValueChange(Section):
    """The candidates with one value of a column under both policies.

    ``up``, ``down``: how many get a better or a worse place; off the slate is the worst. ``before``,
    ``after``: share of the looks; None where exposure cannot be replayed.
    """

    column: str
    value: str
    candidates: int
    up: int
    down: int
    before: Estimate | None
    after: Estimate | None
    relative: Estimate | None


class NegativesChange(Section):
    """Predicted outcomes of a task that costs per 1,000 slots; ``pooled``: thin values of the segment."""

    task: str
    segment: Annotated[Segment, STATED]
    before: Estimate
    after: Estimate
    relative: Estimate | None
    pooled: tuple[str, ...] = ()


class ExampleSlot(Section):
    """One place of a request under both policies.

    ``place_before`` is where the item that stands here now stood under the other policy; None off its slate.
    """

    place: int
    before: str | None
    after: str | None
    place_before: int | None

    @property
    def moved(self) -> str:
        """What became of the item that stands here now: ``new``, ``up``, ``down`` or empty."""
        if self.after is None or self.place_before == self.place:
            return ""
        if self.place_before is None:
            return "new"
        return "up" if self.place < self.place_before else "down"


class ExampleRequest(Section):
    """A request side by side; ``replaced``: slots whose item the other slate does not hold."""

    request: str
    replaced: int
    slots: tuple[ExampleSlot, ...]


class PolicyDiff(Document):
    """Two policies on the candidates and predictions of one release's test slice.

    ``slate_rules``: those in which the slate policies differ. ``replaced``: the share of slots whose item the
    first policy leaves out.
    """

    document: Literal["policy_diff"] = "policy_diff"
    version: Literal[2] = 2
    surface: str
    release: int
    first_day: str
    last_day: str
    before: PolicySide
    after: PolicySide
    candidates: int
    requests: int
    users: int
    slate_rules: tuple[SlateRuleChange, ...]
    replaced: Estimate
    value_changes: tuple[ValueChange, ...]
    negatives: tuple[NegativesChange, ...]
    examples: tuple[ExampleRequest, ...]
    rule: str
    notes: tuple[str, ...]
    report: str = ""


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

    ``others``, ``other_verdicts``: what each further policy was measured at, and its primary and guardrails.
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
    other_verdicts: dict[str, tuple[Verdict, ...]] = Field(default_factory=dict)


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
