"""A shared trunk: one network that learns several tasks, the section ``trunks`` of ``surface.yaml``.

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

Which model a release takes of a task, the section ``models``, is a `ModelChoice`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tasks.contracts.base import AsTuple, Closed, Identifier, Identifiers, Number

Architecture = Literal["shared_bottom", "mmoe", "ple"]
BalanceMethod = Literal["manual", "frequency", "uncertainty", "gradnorm", "pcgrad", "staged"]
ModelChoice = Literal["trees", "trunk", "blend", "best"]
"""The model that a release takes of a task; ``best``: by the held-out users of the calibrate days."""

_Width = Annotated[int, Field(ge=1, le=4096)]
_Pair = Annotated[tuple[Identifier, ...], AsTuple, Field(min_length=2, max_length=2)]


class Balance(Closed):
    """How the losses of the tasks are weighed against each other.

    ``manual``: by ``loss_weight`` of tasks.yaml. ``frequency``: each by the inverse of what its base rate
    alone loses, instead of ``loss_weight``; so begin ``uncertainty``, which learns the weights (Kendall et
    al. 2018), while ``gradnorm`` (Chen et al. 2018) learns them from ``loss_weight`` on. ``pcgrad``: weights
    as ``manual``, conflicting parts of gradients projected away (Yu et al. 2020). ``staged``: as ``manual``,
    and the tasks join one an epoch, those with the most positives first.
    """

    method: BalanceMethod = "manual"


class Trunk(Closed):
    """A network that several tasks share.

    ``experts``: of ``mmoe``, all of them; of ``ple``, those that all tasks share, beside one of each task's
    own. ``layers``: widths of the hidden layers. ``ids``: the size of an embedding by column; an id of fewer
    than ``rows_per_id`` training rows shares the bucket of unknown ids. ``interactions``: pairs of ids whose
    embeddings are multiplied, weighted anew by each task. ``epochs``: at most so many, ended by held-out
    rows; ``batch``: rows of a step.
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
