"""Documents with the results of simulation, shadow and policy comparison."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from tasks.evaluation.documents import Document, MaybeFloat, Section
from tasks.evaluation.evidence import ChampionComparison, HeadInputs, Measured, SlateRule, UtilityComposition
from tasks.evaluation.subjects import STATED, Segment, Subject
from tasks.evaluation.verdicts import Estimate, Verdict


class PolicySide(Section):
    """One of the two policies: the name that the user gave, and the policy."""

    name: str
    policy: str
    version: int


class SlateRuleChange(Section):
    """A slate rule that differs, as written in slate.yaml; None where a policy lacks it."""

    rule: str
    before: str | None
    after: str | None


class ValueChange(Section):
    """The candidates with one value of a column under both policies.

    ``up``, ``down``: candidates with a better or worse position; off the slate is the worst. ``before``,
    ``after``: share of examined impressions; None where exposure cannot be replayed.
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
    """Predicted outcomes of a cost task per 1,000 slots; ``pooled``: sparse values of the segment."""

    task: str
    segment: Annotated[Segment, STATED]
    before: Estimate
    after: Estimate
    relative: Estimate | None
    pooled: tuple[str, ...] = ()


class ExampleSlot(Section):
    """One position of a request under both policies.

    ``place_before`` is the item's position under the other policy; None if it is off that slate.
    """

    place: int
    before: str | None
    after: str | None
    place_before: int | None

    @property
    def moved(self) -> str:
        """How the item at this position moved: ``new``, ``up``, ``down`` or empty."""
        if self.after is None or self.place_before == self.place:
            return ""
        if self.place_before is None:
            return "new"
        return "up" if self.place < self.place_before else "down"


class ExampleRequest(Section):
    """A request under both policies; ``replaced``: slots whose item is not on the other slate."""

    request: str
    replaced: int
    slots: tuple[ExampleSlot, ...]


class PolicyDiff(Document):
    """Two policies on the candidates and predictions of one release's test slice.

    ``slate_rules``: rules in which the slate policies differ. ``replaced``: share of slots whose item is not
    on the first policy's slate.
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
    """A hard constraint of a release, and the number of candidates in slots that break it."""

    constraint: str
    items: int


class OffPolicyCheck(Section):
    """An outcome figure by the replay, compared with an estimate from the log's propensities alone.

    Attributes
    ----------
    subject, against : the metric, and the baseline of a change.
    bound : whether the bound, and so the comparison, is on the policy's level or its relative change.
    replayed, off_policy : the figure by the replay and by ``estimator``, with the replay's model in both.
    without_model : the estimate with the same weights and without that model.
    difference : off_policy minus replayed, with an interval from both on the same rows.
    ess, max_weight : effective sample size of the policy's weights, and the largest weight.
    verdict : ``disagrees`` if the interval of the difference excludes 0.
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
    """A release's decision, and further policies, replayed and compared with the same baseline.

    ``others``, ``other_verdicts``: each further policy's metrics, and its primary and guardrail verdicts.
    ``slate_rules``: rules of the release's own slates; empty for a release built before certificates.
    ``off_policy``: checks of primary and guardrails where the log has propensities; no gate reads them.
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
    """Difference between the scores logged at serving time and the release's scores now."""

    rows: int
    greatest_difference: float


class MovedItem(Section):
    """An item that entered or rose, and the utility term that caused it, with its value under both releases.

    ``place_before`` is the item's position under the champion; None if it is off that slate.
    """

    item: str
    place: int
    place_before: int | None
    task: str
    before: MaybeFloat
    after: MaybeFloat


class ShadowExample(ExampleRequest):
    """A request under champion and challenger; ``replaced``: slots with items off the champion's slate."""

    moved: MovedItem | None


class PackedScores(Section):
    """Difference between the scores of the MLflow model and the replay, on the same candidates.

    ``problem``: why nothing could be compared; empty otherwise.
    """

    rows: int
    greatest_difference: MaybeFloat
    problem: str = ""


class FilledSlots(Section):
    """Number of requests, of requests with an empty slate, and of filled slots over all requests."""

    requests: int
    empty: int
    slots: int


class ScoringFailures(Section):
    """Requests of a day that releases fail to score; ``alone`` of them were also scored one at a time.

    ``example`` is an error of the challenger; ``champion`` is None for a first release. The challenger leaves
    ``empty`` requests with an empty slate; ``emptied_by`` drops most of their candidates.
    """

    requests: int
    alone: int
    challenger: int
    champion: int | None
    example: str
    empty: int = 0
    emptied_by: str = ""


class ScoringTimes(Document):
    """Scoring time of releases on the same requests in alternation, in milliseconds per request.

    Times are not part of the shadow evidence, because they are not reproducible from the same inputs.
    """

    document: Literal["scoring_times"] = "scoring_times"
    version: Literal[1] = 1
    requests: int
    candidates: int
    challenger_ms: Estimate
    champion_ms: Estimate
    ratio: Estimate


class ShadowEvidence(Document):
    """Challenger and champion on the newest day's traffic; there is no comparison for a first release.

    ``examples``: the requests that differ most. ``leaks``: leaks of the challenger.
    ``inputs``: input distributions of its heads on that day, compared with the training data.
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
