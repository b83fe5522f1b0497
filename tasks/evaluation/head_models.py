"""Which model a task of a shared trunk predicts with, why, and how all of them do on the test days."""

from typing import Literal

from tasks.contracts.training import ModelChoice
from tasks.evaluation.documents import MaybeFloat, Section
from tasks.evaluation.evidence import PinnedModel
from tasks.evaluation.metric_rows import Figure
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate

HeadModel = Literal["trees", "trunk", "blend"]
"""What a head predicts with."""


class HeadChoice(Section):
    """Which model held-out users favour and why.

    ``held_out``: error of each relative to a constant. ``rises``: paired differences in it, negative where
    the model is better: of ``trunk`` and ``blend`` against the trees, and of ``trunk over blend``.
    """

    model: HeadModel
    reason: str
    held_out: dict[HeadModel, MaybeFloat]
    rises: dict[str, Estimate]


class HeadModels(Section):
    """The models of a task of a shared trunk, and the one that its map was fitted to.

    ``asked``: what surface.yaml asks for. ``choice``: what held-out users favour, None of a refit, which
    takes the tested model's. ``figures``: normalized entropy (of a value the relative squared error) of each
    model on the test days, each with a line of its own, and the paired rise against the trees; the subject's
    ``feature`` names the model.
    """

    asked: ModelChoice
    model: HeadModel
    trunk: PinnedModel
    choice: HeadChoice | None
    figures: tuple[Figure, ...] = ()

    def estimate(self, model: HeadModel, *, rise: bool = False, segment: Segment = ALL) -> Estimate | None:
        """Return the error of a model on the test days, or its rise against the trees; None without."""
        found = (
            row.estimate
            for row in self.figures
            if row.subject.feature == model and bool(row.subject.baseline) == rise and row.segment == segment
        )
        return next(found, None)
