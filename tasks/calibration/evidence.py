"""Choice and fit of a map, and its figures on the test days, as a document."""

from typing import Literal

from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.evidence import HeadModels, PinnedModel, TaskEvidence
from tasks.evaluation.figures import TaskFigures

MapKind = Literal["none", "global", "segment"]


class Gain(Section):
    """Gain in normalized entropy of a kind of map over one map."""

    gain: MaybeFloat
    standard_error: MaybeFloat


class MapChoice(Section):
    """The chosen map with the reason, and the normalized entropy of each kind on held-out users."""

    kind: MapKind
    reason: str
    held_out: dict[MapKind, MaybeFloat]
    gains: dict[MapKind, Gain]


class CalibrationEvidence(TaskEvidence):
    """Fit of a map, and figures of the test days before and after it, None for refits and factor models.

    ``models``: the model that the map was fitted to, for a task in a shared trunk; None for other tasks.
    """

    document: Literal["calibration"] = "calibration"
    version: Literal[1] = 1
    model: PinnedModel
    calibrator: str
    choice: MapChoice | None
    rows: int
    positives: int
    before: TaskFigures | None
    test: TaskFigures | None
    models: HeadModels | None = None
