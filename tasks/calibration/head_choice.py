"""The model of a task of a shared trunk: its trees, the trunk, or the mean of their log odds.

::

    users of the calibrate days    | fold 1 | fold 2 | fold 3 | fold 4 |  measured (calibration/choice.py)
      each model's line in the logit, fitted to three folds, predicts the fourth
      paired normalized entropy, intervals by user
        trunk    better than the trees at 95 %, and than the blend by its estimate
        blend    else, where it is no worse than the trees by its estimate, and the trunk is not shown to be
                 more than 5 % worse than the trees
        trees    else

Blend is the default where neither is shown to be better, since a rare task has too few positives to show a
gain: the half-width of its interval is about .25 / sqrt(positives). A value task compares squared errors of
scaled means.

The measured users neither choose the model nor the kind of its map, so what the map gains on them is not
flattered by either choice. The map itself is fitted to all users once both are chosen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats, Indices
from tasks.calibration.choice import FOLDS, MEASURED, assign_folds
from tasks.calibration.fit import fit_logistic
from tasks.evaluation.binary import normalized_entropy
from tasks.evaluation.grouping import Grouping
from tasks.evaluation.head_models import HeadChoice, HeadModel
from tasks.evaluation.paired import PairedRows, normalized_entropy_rise, relative_squared_error_rise
from tasks.evaluation.verdicts import Estimate
from tasks.ranking.maps import compress_logits, expit

MODELS: Final[tuple[HeadModel, ...]] = ("trees", "trunk", "blend")
WORST: Final = 0.05
"""By how much of the trees' error a trunk may be shown to be worse and still be blended with them."""

_COMPARED: Final[tuple[tuple[str, HeadModel, HeadModel], ...]] = (
    ("trunk", "trees", "trunk"),
    ("blend", "trees", "blend"),
    ("trunk over blend", "blend", "trunk"),
)
"""Comparisons by name: the baseline and the model."""

Shown = Callable[[Floats], Floats]
"""Moves predictions at the reference to where the rows stood."""


@dataclass(frozen=True)
class ModelScores:
    """What two models of a task give of the same rows.

    Attributes
    ----------
    trees, trunk : [n] log odds; of a value task its value.
    outcomes : [n] 0 or 1, or a value.
    users : [n] ids, none missing.
    weights : [n] of the rows when a map is fitted; None counts each row once.
    value : whether the task is a value task.
    """

    trees: Floats
    trunk: Floats
    outcomes: Floats
    users: npt.NDArray[Any]
    weights: Floats | None = None
    value: bool = False

    def raw(self, model: HeadModel) -> Floats:
        """Return what a model gives, the blend's as the mean of both, shape [n]."""
        match model:
            case "trees":
                return self.trees
            case "trunk":
                return self.trunk
            case "blend":
                return (self.trees + self.trunk) / 2


def choose(rows: ModelScores, *, shown: Shown | None = None) -> HeadChoice:
    """Choose the model of a task by held-out users.

    Parameters
    ----------
    shown : moves predictions [n] at the reference position to where the rows stood.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> taste, users = rng.normal(size=4000), np.arange(4000) // 4
    >>> clicks = (rng.random(4000) < 1 / (1 + np.exp(-2 * taste))).astype(float)
    >>> noise = rng.normal(size=4000)
    >>> choose(ModelScores(noise, 2 * taste, clicks, users)).model
    'trunk'
    >>> choose(ModelScores(2 * taste, noise, clicks, users)).model
    'trees'
    """
    _, fold = assign_folds(rows.users)
    choosing = fold != MEASURED
    if not _can_fit(rows, fold):
        reason = "trees stay: positives or negatives are of too few users to hold some of them out"
        return HeadChoice(model="trees", reason=reason, held_out={}, rises={})
    move = shown or (lambda predictions: predictions)
    predicted = {model: move(_predict_held_out(rows, model, fold))[choosing] for model in MODELS}
    chosen_on = replace(rows, outcomes=rows.outcomes[choosing], users=rows.users[choosing])
    rises = {
        name: find_rises(chosen_on, predicted[baseline], predicted[model])[0]
        for name, baseline, model in _COMPARED
    }
    errors = {model: _relative_error(chosen_on, predicted[model]) for model in MODELS}
    model = decide(rises["trunk"], rises["blend"], rises["trunk over blend"], trees=errors["trees"])
    return HeadChoice(model=model, reason=_explain(model, errors, rises), held_out=errors, rises=rises)


def decide(trunk: Estimate, blend: Estimate, over_blend: Estimate, *, trees: float) -> HeadModel:
    """Apply the rule to three rises in normalized entropy, negative where the first model is better.

    Parameters
    ----------
    trunk, blend : against the trees.
    over_blend : of the trunk against the blend.
    trees : normalized entropy of the trees.

    Examples
    --------
    >>> sure, unsure = Estimate(-0.02, -0.03, -0.01, 99), Estimate(-0.01, -0.04, 0.02, 99)
    >>> decide(sure, sure, sure, trees=0.9), decide(unsure, unsure, unsure, trees=0.9)
    ('trunk', 'blend')
    >>> decide(Estimate(0.2, 0.1, 0.3, 99), unsure, sure, trees=0.9)
    'trees'
    """
    if trunk.high < 0 and over_blend.value < 0:
        return "trunk"
    return "blend" if blend.value <= 0 and not trunk.low > WORST * trees else "trees"


def find_rises(
    rows: ModelScores, before: Floats, after: Floats, group: Grouping | None = None
) -> list[Estimate]:
    """Return paired rises in normalized entropy, or in the squared error relative to the mean's, by group.

    Examples
    --------
    >>> clicks, none = np.tile([0.0, 1.0], 100), np.zeros(200)
    >>> rows = ModelScores(none, none, clicks, np.arange(200) // 2)
    >>> (rise,) = find_rises(rows, before=np.full(200, 0.5), after=0.25 + clicks / 2)
    >>> round(rise.value, 3)  # from ln 2 to ln (4 / 3), over ln 2
    -0.585
    """
    paired = PairedRows(rows.outcomes, before, after, rows.users, rows.users)
    if rows.value:
        return relative_squared_error_rise(paired, group, base=float(rows.outcomes.mean()))
    return normalized_entropy_rise(paired, group)


def _relative_error(rows: ModelScores, predictions: Floats) -> float:
    if rows.value:
        return float(((rows.outcomes - predictions) ** 2).mean() / np.var(rows.outcomes))
    return normalized_entropy(rows.outcomes, predictions)


def fit_line(rows: ModelScores, model: HeadModel, at: npt.NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Fit what turns a model's log odds into probabilities, or scales its values, on some rows.

    Examples
    --------
    >>> values, spent = np.array([1.0, 1.0]), np.array([2.0, 4.0])
    >>> rows = ModelScores(values, values, spent, np.arange(2), value=True)
    >>> fit_line(rows, "trees", np.array([True, True]))(np.array([2.0]))
    array([6.])
    """
    raw, y = rows.raw(model)[at], rows.outcomes[at]
    w = np.ones(len(y)) if rows.weights is None else rows.weights[at]
    if rows.value:
        predicted, happened = float((w * raw).sum()), float((w * y).sum())
        factor = happened / predicted if min(predicted, happened) > 0 else 1.0
        return lambda values: values * factor
    line = fit_logistic(compress_logits(raw), y, w)
    return lambda logits: line.of_logits(compress_logits(logits))


def _predict_held_out(rows: ModelScores, model: HeadModel, fold: Indices) -> Floats:
    """Predict every choosing row by a line fitted to the other folds; rows that are measured stay raw."""
    raw = rows.raw(model)
    predicted = raw.copy() if rows.value else expit(raw)
    for held in range(FOLDS):
        others = (fold != held) & (fold != MEASURED)
        predicted[fold == held] = fit_line(rows, model, others)(raw[fold == held])
    return predicted


def _can_fit(rows: ModelScores, fold: Indices) -> bool:
    """Whether both outcomes are left whichever fold of the choosing users is held out."""
    learned = (rows.outcomes[(fold != held) & (fold != MEASURED)] for held in range(FOLDS))
    return all(len(side) and np.ptp(side) > 0 for side in learned)


def _explain(model: HeadModel, errors: Mapping[HeadModel, float], rises: Mapping[str, Estimate]) -> str:
    """Say which model held-out users favour.

    >>> seen = {"trunk": Estimate(0.1, 0.02, 0.2, 90), "blend": Estimate(-0.1, np.nan, np.nan, 2)}
    >>> _explain("blend", {"trees": 0.5, "trunk": 0.6, "blend": 0.4}, seen).partition("trees, ")[2]
    'trunk 0.6000 (+0.1000, 95 % CI +0.0200 to +0.2000), blend 0.4000 (-0.1000, 95 % CI unknown)'
    """
    trees = f"{errors['trees']:.4f} with trees"
    others = ", ".join(
        f"{name} {errors[name]:.4f} ({one.value:+.4f}, 95 % CI "
        + (f"{one.low:+.4f} to {one.high:+.4f})" if one.known else "unknown)")
        for name in ("trunk", "blend")
        for one in (rises[name],)
    )
    return f"held-out users favour {model}: error relative to a constant {trees}, {others}"
