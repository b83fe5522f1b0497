"""Results of training a model and of estimating an examination curve, as documents for later steps."""

from typing import Literal

from pydantic import Field, JsonValue

from tasks.evaluation.documents import Document, MaybeFloat, Section
from tasks.evaluation.evidence import Days, TaskEvidence
from tasks.evaluation.figures import TaskFigures

Parameter = bool | int | float | str | dict[str, float] | None


class Importance(Section):
    """Importance of a feature in the trees."""

    gain: float
    splits: int


class BestTrial(Section):
    """The best trial of a search: its number, its loss on the held-out users and its parameters."""

    number: int
    loss: float
    parameters: dict[str, float | int]


class SearchSummary(Section):
    """Summary of a search: number of trials, the reason why it ended, and the best trial."""

    trials: int
    pruned: int
    ended_by: str
    contract_loss: float | None
    best: BestTrial | None


class TrainingEvidence(TaskEvidence):
    """How a model was trained, and its figures on the test days, None for refits and factor models.

    ``rows`` counts the examples, ``weights`` describes each factor of their weights, ``trees`` are the
    parameters of the trees, ``start`` the rounds of a dense start, ``parameters`` all parameters in MLflow.
    ``recipe`` is the recipe whose digest is the version's tag ``equipoise.training_recipe``.
    """

    document: Literal["training"] = "training"
    version: Literal[1] = 1
    rows: dict[str, int]
    weights: dict[str, dict[str, float]]
    rounds: int
    start: dict[str, int]
    fold_loss: float | None
    trees: dict[str, float | int]
    parameters: dict[str, Parameter]
    search: SearchSummary | None
    importances: dict[str, Importance]
    test: TaskFigures | None
    recipe: dict[str, JsonValue] = Field(repr=False)


class CurveEvidence(Section):
    """An examination curve by position, from 1; with intervals and data if it is estimated."""

    by_position: tuple[float, ...]
    reference: int
    source: str
    low: tuple[MaybeFloat, ...] | None = None
    high: tuple[MaybeFloat, ...] | None = None
    task: str | None = None
    pairs: int | None = None
    positives: int | None = None


class ExaminationEvidence(Document):
    """A curve, and the days that it was estimated from, none for a declared curve."""

    document: Literal["examination"] = "examination"
    version: Literal[1] = 1
    slices: dict[str, Days]
    examination: CurveEvidence
