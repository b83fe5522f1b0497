"""What a head reads: how much its trees gain from each feature, and which features changed after training.

::

    scale          medians of the values other than 0 differ by a factor     more than 5 times past weeks' own
    constant       one value holds all rows, as in no past week
    nulls          the share of nulls differs                                20 points more than in past weeks
    unseen         share of rows with a category that training never saw     20 points more than in past weeks
    distribution   Jensen-Shannon divergence                                 .05 bits beyond past weeks' own

The release step compares the days that a head learned from with those that it is calibrated and tested on and
with the newest ones; the shadow compares them with what was served (`tasks.release.inputs`).
"""

from collections.abc import Sequence
from typing import Literal

from tasks.evaluation.documents import MaybeFloat, Section

ChangeKind = Literal["scale", "constant", "nulls", "unseen", "distribution"]
ComparedDays = Literal["calibrate", "test", "newest", "served"]


class InputChange(Section):
    """A figure of a feature that lies beyond its bound on later days than those of training."""

    feature: str
    days: ComparedDays
    kind: ChangeKind
    observed: MaybeFloat
    bound: MaybeFloat


class HeadInputs(Section):
    """The features of a head.

    ``gains``: by feature its share of the gain of all splits, 0 where no split uses it. ``changes``: what is
    beyond a bound; ``reason``: why nothing was compared.
    """

    task: str
    gains: dict[str, float]
    changes: tuple[InputChange, ...] = ()
    reason: str = ""


def gain_shares(names: Sequence[str], gains: Sequence[float]) -> dict[str, float]:
    """Return each feature's share of the gain of all splits, the largest first.

    Examples
    --------
    >>> gain_shares(["price", "age"], [1.0, 3.0])
    {'age': 0.75, 'price': 0.25}
    """
    total = sum(gains) or 1.0
    shares = {name: float(gain / total) for name, gain in zip(names, gains, strict=True)}
    return dict(sorted(shares.items(), key=lambda one: -one[1]))
