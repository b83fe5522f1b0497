"""What a changed recipe gains or loses on the same days' data, as a document for the gate."""

from typing import Literal

from tasks.evaluation.documents import Document
from tasks.evaluation.evidence import Days, PinnedModel
from tasks.evaluation.replay_evidence import ChampionComparison


class SameDayEvidence(Document):
    """A task's model beside the champion's recipe, trained on the same snapshot as of the same instant.

    ``recipe`` is the digest of the champion's recipe; ``slices`` and ``rounds`` are of the model that was
    trained by it, None where there is none. ``rows`` counts the test rows that both were measured on.
    ``comparison`` is positive where the new recipe is worse; ``reason`` says why there is none.
    """

    document: Literal["same_day"] = "same_day"
    version: Literal[1] = 1
    surface: str
    task: str
    as_of: str
    snapshot: str
    model: PinnedModel
    recipe: str
    slices: dict[str, Days] | None = None
    rounds: int | None = None
    rows: int = 0
    comparison: ChampionComparison | None = None
    reason: str = ""
