"""How one head is learned: its loss, LightGBM's parameters, monotone bounds, weight and seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.contracts.training import Objective

ROUNDS: Final = 400
"""Most trees, where the contract gives no ``rounds``; early stopping ends most heads before."""

PATIENCE: Final = 50
"""Trees without a lower held-out loss that end the training, where the contract gives no number."""

_LIGHTGBM: Final[Mapping[Objective, Mapping[str, str]]] = {
    "binary": {"objective": "binary", "metric": "binary_logloss"},
    "l2": {"objective": "regression", "metric": "l2"},
    "tweedie": {"objective": "tweedie", "metric": "tweedie"},
    "quantile": {"objective": "quantile", "metric": "quantile"},
    "lambdarank": {"objective": "lambdarank", "metric": "ndcg"},
}


@dataclass(frozen=True)
class Loss:
    """What the trees minimise.

    Attributes
    ----------
    quantile : of the value, for ``quantile``.
    power : of the variance in the mean, for ``tweedie``: 1 is Poisson, 2 gamma.
    """

    objective: Objective = "binary"
    quantile: float = 0.5
    power: float = 1.5

    @property
    def settings(self) -> dict[str, Any]:
        """LightGBM's objective, metric and their parameters."""
        own = {"quantile": {"alpha": self.quantile}, "tweedie": {"tweedie_variance_power": self.power}}
        return {**_LIGHTGBM[self.objective], **own.get(self.objective, {})}


@dataclass(frozen=True)
class Learning:
    """What decides a head's trees, beside its examples and what they start from.

    Attributes
    ----------
    parameters : the contract's LightGBM parameters, with ``rounds`` and ``early_stopping_rounds``.
    monotone : feature -> 1 or -1: its effect may only rise, or only fall.
    loss_weight : weight of every example; on separate trees it only rescales their regularisation.
    """

    loss: Loss = field(default_factory=Loss)
    parameters: Mapping[str, float | int] = field(default_factory=dict)
    monotone: Mapping[str, int] = field(default_factory=dict)
    loss_weight: float = 1.0
    seed: int = 0
