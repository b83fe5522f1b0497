"""Training settings of tasks: the ``training`` section of ``surface.yaml``, by task, with ``default``.

::

    training:
      default: {weights: {half_life: P14D}}
      click_30m: {position: feature}
      purchase_7d: {weights: {propensity: {clip: 20}}, start_from: {task: click_30m, by: leaves}}
      return_30d: {space: entire}

``engine`` and ``scheduler`` may also be declared at the task level, for all tasks.
No setting here is a utility weight: they affect training only (R12, R13).

The section ``trunks`` of ``surface.yaml`` declares shared trunks: networks that learn several tasks.

::

    trunks:
      feed:
        tasks: [click_30m, purchase_7d, report_7d]
        architecture: mmoe
        experts: 4
        layers: [128, 64]
        ids: {user_id: 16, item_id: 16}
        interactions: [[user_id, item_id]]
        rows_per_id: 20
        balance: {method: manual}
    models: {default: trees, purchase_7d: best}

The section ``models`` selects the model of each task, a `ModelChoice`.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from tasks.contracts.base import AsTuple, Closed, Identifier, Identifiers, Number
from tasks.contracts.durations import Duration

Objective = Literal["binary", "l2", "tweedie", "quantile", "lambdarank"]
HeadKind = Literal["binary", "value", "quantile", "ranking"]
"""The prediction of a head: a probability, a mean, a quantile, or an order within the request."""

Scheduler = Annotated[
    str,
    StringConstraints(
        pattern=r"^(tcp|tls)://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9][0-9]{0,4}$"
    ),
]
"""Address of a Dask scheduler, such as tcp://scheduler:8786."""

LARGEST_LABEL: Final = 3.4028234663852886e38
"""Maximum label: LightGBM stores labels in single precision."""


class Clip(Closed):
    """Maximum inverse probability used as the weight of an example."""

    clip: Annotated[Number, Field(gt=1, le=1000)] = 20.0


class ExampleWeights(Closed):
    """The weight of an example, the product of the factors named here.

    ``column``: a logged column, 0 or more. ``half_life``: age at which an example has half the weight.
    ``propensity``: the inverse of the logged propensity. ``response``: the inverse of the estimated
    probability that the label is observed. ``balanced``: positives and negatives get the same total weight,
    which is corrected in the probabilities.
    """

    column: Identifier | None = None
    half_life: Duration | None = None
    propensity: Clip | None = None
    response: Clip | None = None
    balanced: bool = False


class StartFrom(Closed):
    """A denser task that a sparse task starts from: its predictions, or its trees with refitted leaves."""

    task: Identifier
    by: Literal["predictions", "leaves"] = "predictions"


class Search(Closed):
    """A search of LightGBM parameters on the early-stop users, with a maximum of trials and of seconds."""

    trials: Annotated[int, Field(ge=1, le=1000)]
    seconds: Annotated[int, Field(ge=1, le=86_400)]


class TaskTraining(Closed):
    """Training settings of one task; absent ones come from ``default``.

    ``position``: ``feature`` trains on the position and scores with the surface's reference position;
    ``weight`` weights each example by the inverse of its position's examination.
    ``space``: a conditional task is trained where its parent is positive, or on all impressions as the joint
    event. ``delayed``: days with immature labels are used too, corrected for outcomes still to come.
    ``warm_start``: new trees are added to the champion's. ``refit``: after a passed test the model is
    retrained on all mature days. ``monotone``: 1 or -1 by numeric feature. ``engine``: this process, or the
    workers of a Dask cluster at the address ``scheduler``.
    """

    objective: Objective | None = None
    quantile: Annotated[Number, Field(gt=0, lt=1)] | None = None
    tweedie_power: Annotated[Number, Field(gt=1, lt=2)] | None = None
    weights: ExampleWeights | None = None
    start_from: StartFrom | None = None
    space: Literal["conditional", "entire"] | None = None
    position: Literal["none", "feature", "weight"] | None = None
    delayed: bool | None = None
    warm_start: bool | None = None
    refit: bool | None = None
    monotone: dict[Identifier, Literal[-1, 1]] | None = None
    search: Search | None = None
    engine: Literal["local", "dask"] | None = None
    scheduler: Scheduler | None = None

    @property
    def predicted_quantile(self) -> float:
        """The quantile that a head predicts; by default the median."""
        return self.quantile or 0.5

    @model_validator(mode="after")
    def _parameters_fit_the_objective(self) -> Self:
        if self.quantile is not None and self.objective != "quantile":
            raise ValueError("quantile goes with objective: quantile")
        if self.tweedie_power is not None and self.objective != "tweedie":
            raise ValueError("tweedie_power goes with objective: tweedie")
        return self

    @property
    def cluster(self) -> str | None:
        """Scheduler of the Dask cluster that grows the trees; None for training in this process."""
        return self.scheduler if self.engine == "dask" else None

    def over(self, other: "TaskTraining") -> "TaskTraining":
        """Return these settings, completed with another's where absent."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


def head_kind(kind: Literal["binary", "value"], objective: Objective | None) -> HeadKind:
    """Return the prediction type of a head for a task of this kind with an objective.

    Examples
    --------
    >>> head_kind("value", "tweedie"), head_kind("value", "quantile"), head_kind("binary", "lambdarank")
    ('value', 'quantile', 'ranking')
    """
    match objective:
        case "quantile":
            return "quantile"
        case "lambdarank":
            return "ranking"
        case _:
            return kind


Architecture = Literal["shared_bottom", "mmoe", "ple"]
BalanceMethod = Literal["manual", "frequency", "uncertainty", "gradnorm", "pcgrad", "staged"]
ModelChoice = Literal["trees", "trunk", "blend", "best"]
"""The model that a release uses for a task; ``best`` uses held-out users of the calibrate days."""

_Width = Annotated[int, Field(ge=1, le=4096)]
_Pair = Annotated[tuple[Identifier, ...], AsTuple, Field(min_length=2, max_length=2)]


class Balance(Closed):
    """How the losses of the tasks are weighted.

    ``manual``: by ``loss_weight`` of tasks.yaml. ``frequency``: by the inverse loss of a constant base rate,
    instead of ``loss_weight``. ``uncertainty`` starts from these and learns the weights (Kendall et al.
    2018); ``gradnorm`` (Chen et al. 2018) learns them starting from ``loss_weight``. ``pcgrad``: weights as
    ``manual``, conflicting parts of gradients projected away (Yu et al. 2020). ``staged``: as ``manual``, and
    one task is added per epoch, in decreasing order of positives.
    """

    method: BalanceMethod = "manual"


class Trunk(Closed):
    """A network that several tasks share.

    ``experts``: for ``mmoe``, all experts; for ``ple``, the shared ones, in addition to one per task.
    ``layers``: widths of the hidden layers. ``ids``: embedding size by column; an id with fewer than
    ``rows_per_id`` training rows uses the bucket of unknown ids. ``interactions``: pairs of ids whose
    embeddings are multiplied, with weights per task. ``epochs``: the maximum, with early stopping on held-out
    rows; ``batch``: rows per step.
    """

    tasks: Annotated[Identifiers, Field(min_length=1)]
    architecture: Architecture = "mmoe"
    experts: Annotated[int, Field(ge=1, le=64)] = 4
    layers: Annotated[tuple[_Width, ...], AsTuple, Field(min_length=1, max_length=8)] = (128, 64)
    ids: dict[Identifier, Annotated[int, Field(ge=1, le=512)]] = {}
    interactions: Annotated[tuple[_Pair, ...], AsTuple] = ()
    rows_per_id: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    balance: Balance = Balance()
    epochs: Annotated[int, Field(ge=1, le=1000)] = 20
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    learning_rate: Annotated[Number, Field(gt=0, le=1)] = 0.002
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0

    @model_validator(mode="after")
    def _interactions_are_of_ids(self) -> Self:
        for pair in self.interactions:
            if len(set(pair)) < len(pair) or not set(pair) <= set(self.ids):
                raise ValueError(
                    f"interactions [{', '.join(pair)}] must name two different ids of: {', '.join(self.ids)}"
                )
        return self
