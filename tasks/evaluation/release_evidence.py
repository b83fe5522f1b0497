"""What the release step and the gate found, as documents: a release's figures, and the verdict on it."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, JsonValue

from tasks.evaluation.documents import CLOSED, Document, MaybeFloat, Section
from tasks.evaluation.evidence import Days, HeadInputs, HeadModels, PinnedModel
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import STATED, Segment
from tasks.evaluation.task_pairs import ConflictEvidence, Tenth
from tasks.evaluation.verdicts import Estimate, Verdict

AMPLIFIED: Final = 0.1
"""Share of the utility's spread from which a term is named."""


class ProxyEvidence(Section):
    """A slow outcome along the tenths of a fast task's prediction.

    ``cost``: people suffer from the slow outcome. ``learned``: the fast task's model learned from some of
    these days, so it knows their fast outcomes.
    """

    fast: str
    slow: str
    days: Days
    cost: bool
    learned: bool
    mean: Estimate
    gap: Estimate
    worst_at_top: bool
    tenths: tuple[Tenth, ...]


class FactorModelEvidence(Section):
    """The factor of a parent that a task's joint was fitted and measured with, and the days it is made of."""

    task: str
    parent: str
    model: PinnedModel
    calibrator: PinnedModel
    slices: dict[str, Days]


class RefitShift(Section):
    """How far a refit's predictions lie from those of the tested model, and how far they may."""

    task: str
    segment: Annotated[Segment, STATED]
    shift: Estimate
    bound: float


class RefitEvidence(Section):
    """What is served beside the release that was tested."""

    tested: int
    shifts: tuple[RefitShift, ...]


class ReleaseEvidence(Document):
    """What a release is and how its tasks do on its test days.

    ``kept``: by task, why it could not be trained; ``unrepeated``: why its recipe could not be repeated;
    ``unmeasured``: why its joint could not be measured. ``factor_models`` replace factors that have learned
    from the days on which a joint is measured. ``inputs``: what each head reads. ``models``: of each task in
    a shared trunk, which model it predicts with and how all of them do. ``rules`` are the gates, base
    rates and reviewers of when it was made.
    """

    document: Literal["release"] = "release"
    version: Literal[1] = 1
    manifest_sha256: str
    backfilled: bool
    pins: dict[str, int]
    test: Days
    tasks: tuple[TaskFigures, ...]
    kept: dict[str, str]
    unrepeated: dict[str, str]
    proxies: tuple[ProxyEvidence, ...]
    conflicts: ConflictEvidence | None
    refit: RefitEvidence | None
    factor_models: tuple[FactorModelEvidence, ...] = ()
    unmeasured: dict[str, str] = Field(default_factory=dict)
    inputs: tuple[HeadInputs, ...] = ()
    models: dict[str, HeadModels] = Field(default_factory=dict)
    description: str
    rules: dict[str, Any] = Field(repr=False)

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Return the headline of each task, as people are shown it."""
        return {figures.task: {"test": dict(figures.headline)} for figures in self.tasks}


@dataclass(frozen=True)
class Sensitivity:
    """A term of the utility: its weight, mean prediction in the slots, and what its calibration leaves open.

    ``weight`` is the one without a context. ``slots`` and ``whole`` are calibration ratios of the items in
    the slots and of all shown ones. ``contribution`` and ``error`` are utility a slot; ``share`` of the
    utility's spread is NaN where no ratio can be measured.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    task: str
    weight: float
    times: str | None
    prediction: MaybeFloat
    slots: Estimate
    whole: Estimate
    contribution: MaybeFloat
    error: Estimate
    share: MaybeFloat

    @property
    def ratio(self) -> Estimate:
        """The calibration ratio that counts: of the items in the slots if measurable, else of all."""
        return self.slots if self.slots.known else self.whole

    @property
    def amplified(self) -> bool:
        """Whether a small error of the head moves the order much, or its size is unknown."""
        return self.contribution != 0 and not self.share < AMPLIFIED

    @property
    def largest(self) -> float:
        """Largest error of a slot's utility that the interval allows."""
        return max(abs(self.error.low), abs(self.error.high))


@dataclass(frozen=True)
class EvidenceRuns:
    """The MLflow runs that hold the evidence of a release, by the step that wrote it."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    validation: str
    release: str
    simulation: str
    shadow: str
    later_validation: str = ""


class GateEvidence(Document):
    """The dossier of a release without its pictures; ``manifest`` has a format of its own.

    ``runs`` are those of the steps that the release was judged by; a verdict may name another, as a tuning's.

    ``rules`` are the gates, base rates and reviewers of its day; ``loosened`` says which let more
    through than when the release was made. ``evaluated_as_of`` is the day of a promotion that came later.
    ``canary_permitted``: it is held and may serve as the canary all the same.
    ``timings`` are the verdicts on what the clock said: they hold or warn as the others do, and stand apart
    because the same inputs do not give them again, so no approval rests on their figures.
    """

    document: Literal["gate"] = "gate"
    version: Literal[1] = 1
    surface: str
    release: int
    as_of: str
    verdict: Literal["promote", "hold"]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    gates: tuple[Verdict, ...]
    runs: EvidenceRuns
    calibration_in_slots: dict[str, Estimate]
    sensitivity: tuple[Sensitivity, ...]
    manifest: dict[str, JsonValue] = Field(repr=False)
    rules: dict[str, Any] = Field(repr=False)
    evaluated_as_of: str | None = None
    loosened: tuple[str, ...] = ()
    timings: tuple[Verdict, ...] = ()
    canary_permitted: bool = False

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every verdict that decided, those on what the clock said too."""
        return (*self.gates, *self.timings)
