"""The weights that may be proposed: terms of a policy, each between two ends of its sign.

::

    ranges: {hide: [-20, 0], click: [0, 2]}     current: {hide: -3, click: 0.4, purchase: 20}
    searched   |hide| in [0.02, 20], click in [0.002, 2], on a scale of logarithms; purchase stays

An end of 0 stands for a thousandth of the other end: a term without a weight is another policy, and a
person's decision. Weights of contexts stay as they are. A proposal has four digits, so that what was measured
is what stands in the file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tasks.contracts import UtilitySpec
from tasks.contracts.utility import Weight

Weights = Mapping[str, float]

_LEAST_SHARE: Final = 1e-3
_DIGITS: Final = 4


@dataclass(frozen=True)
class WeightSpace:
    """Ranges of weights by term, and the policy whose weights they are.

    Attributes
    ----------
    policy : everything but the searched weights stays as it stands there.
    sizes : term -> least and greatest absolute weight, both above 0.
    """

    policy: UtilitySpec
    sizes: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, policy: UtilitySpec, ranges: Mapping[str, tuple[float, float]]) -> "WeightSpace":
        """Return the space of some ranges, each of one sign.

        Examples
        --------
        >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -3.0})
        >>> WeightSpace.of(policy, {"hide": (-20.0, 0.0)}).sizes
        {'hide': (0.02, 20.0)}
        """
        sizes = {}
        for term in sorted(ranges):
            low, high = sorted(map(abs, ranges[term]))
            sizes[term] = (max(low, high * _LEAST_SHARE), high)
        return cls(policy, sizes)

    @property
    def current(self) -> dict[str, float]:
        """The policy's own weights of the terms that are searched."""
        return {term: self.policy.weights[term].weight for term in self.sizes}

    def clipped(self, weights: Weights) -> dict[str, float]:
        """Return the nearest weights of the space: absolute values inside the ranges."""
        return {term: min(max(abs(weights[term]), low), high) for term, (low, high) in self.sizes.items()}

    def signed(self, sizes: Weights) -> dict[str, float]:
        """Return weights of the policy's signs, rounded to four digits, and none outside its range.

        Examples
        --------
        >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -3.0})
        >>> WeightSpace.of(policy, {"hide": (-20.0, 0.0)}).signed({"hide": 2.34567})
        {'hide': -2.346}
        """
        inside = self.clipped({term: float(f"{size:.{_DIGITS}g}") for term, size in sizes.items()})
        return {term: math.copysign(size, self.policy.weights[term].weight) for term, size in inside.items()}

    def policy_with(self, weights: Weights, *, version: int | None = None) -> UtilitySpec:
        """Return the policy with other weights; value columns and reasons of the terms stay."""
        own = self.policy.weights
        changed: dict[str, Weight] = {
            term: own[term].model_copy(update={"weight": weight}) for term, weight in weights.items()
        }
        update: dict[str, object] = {"weights": {**own, **changed}}
        if version is not None:
            update["version"] = version
        return self.policy.model_copy(update=update)

    def moved(self, weights: Weights) -> float:
        """Return how far weights lie from the current ones: the length of the change of their logarithms.

        Examples
        --------
        >>> policy = UtilitySpec(policy="p", version=1, owner="o", approvals=["a"], weights={"hide": -3.0})
        >>> WeightSpace.of(policy, {"hide": (-20.0, 0.0)}).moved({"hide": -3.0 * math.e}).__round__(9)
        1.0
        """
        return math.hypot(*(math.log(weights[term] / now) for term, now in self.current.items()))
