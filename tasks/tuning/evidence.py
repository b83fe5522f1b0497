"""The document of a tuning: the front of the tried weights, and the proposal.

Figures come from two halves of the users. ``searched`` figures are from the half on which weights were tried
and chosen, where the best of many is overestimated. ``confirmed`` figures are from the other half.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal

from tasks.contracts import UtilitySpec
from tasks.evaluation.documents import Document, MaybeFloat, Section
from tasks.evaluation.verdicts import Estimate, Verdict


class Objective(Section):
    """A tuned metric, ``raised`` or lowered; its figures are changes, and greater changes are better.

    ``model_judged``: the figures are based on the release's own predictions.
    """

    metric: str
    raised: bool
    model_judged: bool


class FrontPoint(Section):
    """Weights on the front, with each objective's change against the baseline on both halves.

    ``dominated``: another point is significantly better in one objective and worse in none.
    """

    trial: int
    weights: dict[str, float]
    searched: tuple[MaybeFloat, ...]
    confirmed: tuple[Estimate, ...]
    dominated: bool


class WeightProposal(Section):
    """Weights proposed as the next version of the policy.

    ``gain`` is the change of ``gain_metric`` against the current weights on the confirming half; for a
    maximised prediction it is the doubly robust rate of the outcomes. ``gain_predicted`` and
    ``gain_searched`` are the change of the maximised metric itself on the confirming and on the searching
    half. All four are None for a restoration. ``moved`` is the length of the change of the weights'
    logarithms; ``verdicts`` are the primary and guardrail verdicts on the confirming half.
    """

    trial: int | None
    version: int
    weights: dict[str, float]
    moved: MaybeFloat
    gain_searched: MaybeFloat | None
    gain_metric: str | None
    gain: Estimate | None
    gain_predicted: Estimate | None
    verdicts: tuple[Verdict, ...]
    file: str


Ending = Literal["proposed", "nothing better", "within bounds", "out of reach"]


class TuningEvidence(Document):
    """Result of a tuning or a restoration of weights.

    Attributes
    ----------
    days : first and last day of the candidates.
    requests : number of requests in the searching and the confirming half.
    searched_policies, confirmed_policies : policies measured on each half by this run, and by all runs on
        these days so far.
    exceeded : bounds that the current weights exceed on the searching half, each with its excess.
    hypervolume : of the front's confirmed changes, above the reference of no gain and the bounds.
    knee : trial of the front's knee, on the searching half.
    """

    document: Literal["tuning"] = "tuning"
    version: Literal[1] = 1
    ending: Ending
    release: int
    baseline: str
    days: tuple[date, date]
    requests: tuple[int, int]
    objectives: tuple[Objective, ...]
    current: dict[str, float]
    searched_policies: tuple[int, int]
    confirmed_policies: tuple[int, int]
    feasible: int
    exceeded: dict[str, MaybeFloat]
    front: tuple[FrontPoint, ...]
    hypervolume: MaybeFloat
    knee: int | None
    proposal: WeightProposal | None
    report: str
    notes: tuple[str, ...]

    def find_point(self, policy: UtilitySpec) -> FrontPoint | None:
        """Return the point of the front with a policy's weights."""
        return next((point for point in self.front if _has_weights(policy, point.weights)), None)

    def started_from(self, policy: UtilitySpec) -> bool:
        """Whether the search began with a policy's weights."""
        return _has_weights(policy, self.current)

    def moves(self, proposed: FrontPoint | WeightProposal) -> Iterator[tuple[str, float, float]]:
        """Yield each searched term with its current and its proposed weight."""
        yield from ((term, self.current[term], weight) for term, weight in proposed.weights.items())


def _has_weights(policy: UtilitySpec, weights: Mapping[str, float]) -> bool:
    """Whether a policy has these weights; those of tasks that were not searched are not compared."""
    own = {task: one.weight for task, one in policy.weights.items()}
    return all(math.isclose(each, own.get(task, 0.0), rel_tol=1e-9) for task, each in weights.items())
