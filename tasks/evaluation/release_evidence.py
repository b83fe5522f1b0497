"""Documents of the release step and the gate: a release's figures, and the verdict on it."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue

from tasks.evaluation.documents import CLOSED, Document, Section
from tasks.evaluation.evidence import Days, HeadInputs, HeadModels, PinnedModel, Sensitivity
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import STATED, Segment
from tasks.evaluation.task_pairs import ConflictEvidence, Tenth
from tasks.evaluation.verdicts import Estimate, Verdict


class ProxyEvidence(Section):
    """A slow outcome along the deciles of a fast task's prediction.

    ``cost``: whether the slow outcome is harmful to people. ``learned``: whether the fast task's model was
    trained on some of these days, so that it knows their fast outcomes.
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
    """The factor model of a parent that a task's joint was fitted and measured with, and its days."""

    task: str
    parent: str
    model: PinnedModel
    calibrator: PinnedModel
    slices: dict[str, Days]


class RefitShift(Section):
    """Difference between a refit's predictions and the tested model's, and its bound."""

    task: str
    segment: Annotated[Segment, STATED]
    shift: Estimate
    bound: float


class RefitEvidence(Section):
    """The tested release of a refit, and the shifts of the refit's predictions."""

    tested: int
    shifts: tuple[RefitShift, ...]


class ReleaseEvidence(Document):
    """The components of a release, and the figures of its tasks on its test days.

    ``kept``: by task, why it could not be trained; ``unrepeated``: why its recipe could not be repeated;
    ``unmeasured``: why its joint could not be measured. ``factor_models`` replace factors trained on the days
    on which a joint is measured. ``inputs``: the inputs of each head. ``models``: for each task in a shared
    trunk, the model that it predicts with and the figures of all its models. ``rules``: the gates, base rates
    and reviewers at the time of the release.
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
        """Return the headline of each task, as shown on pages."""
        return {figures.task: {"test": dict(figures.headline)} for figures in self.tasks}


@dataclass(frozen=True)
class EvidenceRuns:
    """The MLflow runs with the evidence of a release, by the step that wrote it."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED

    validation: str
    release: str
    simulation: str
    shadow: str
    later_validation: str = ""


class GateEvidence(Document):
    """The dossier of a release without its charts; ``manifest`` has a separate format.

    ``runs``: runs of the steps whose evidence was evaluated; a verdict may name another, such as a tuning's.

    ``rules``: the gates, base rates and reviewers of its day; ``loosened``: rules that allow more than when
    the release was built. ``evaluated_as_of``: the day of a later promotion.
    ``canary_permitted``: whether it is held but may serve as the canary.
    ``timings``: the verdicts on measured times. They hold or warn like others, but are separate because they
    are not reproducible from the same inputs, so no approval depends on their figures.
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
        """Every verdict that decided, including those on measured times."""
        return (*self.gates, *self.timings)
