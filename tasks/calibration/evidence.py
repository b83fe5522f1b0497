"""How a map was chosen and fitted, and what it does to the test days, as a document."""

from typing import Literal

from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.evidence import HeadModels, PinnedModel, TaskEvidence
from tasks.evaluation.figures import TaskFigures

MapKind = Literal["none", "global", "segment"]


class Gain(Section):
    """What the chosen map gains over another in normalized entropy."""

    gain: MaybeFloat
    standard_error: MaybeFloat


class MapChoice(Section):
    """Which map was chosen and why, with the normalized entropy of each on held-out users."""

    kind: MapKind
    reason: str
    held_out: dict[MapKind, MaybeFloat]
    gains: dict[MapKind, Gain]


class CalibrationEvidence(TaskEvidence):
    """How a map was fitted, and the figures of the test days before and after it, None of those too.

    ``models``: of a task in a shared trunk, which model the map is of; None of others.
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
