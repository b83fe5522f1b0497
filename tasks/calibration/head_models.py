"""Chooses the model of a task: its trees, the shared trunk, or the mean of their log odds (blend).

::

    calibrate rows -> trees' scores, trunk's log odds -> choice                   -> scores to fit the map to
    test rows      -> each model with its own logit line -> normalized entropy, by segment, and vs the trees

``models`` in surface.yaml selects the model; ``best`` chooses it on held-out users. All three are measured in
any case, on days that were used neither for the fit nor for the choice.

The choice::

    users of the calibrate days    | fold 1 | fold 2 | fold 3 | fold 4 |  measured (calibration/choice.py)
      each model's line in the logit, fitted to three folds, predicts the fourth
      paired normalized entropy, intervals by user
        trunk    if better than the trees at 95 %, and than the blend by its estimate
        blend    else, if no worse than the trees by its estimate, unless the trunk is significantly
                 more than 5 % worse than the trees
        trees    else

Blend is the default if neither is significantly better, because a rare task has too few positives to show a
gain: the half-width of its interval is about .25 / sqrt(positives). Value tasks compare squared errors.

The measured users are used neither for the choice of the model nor for the kind of map, so the map's gain on
them is unbiased by either choice. The map itself is fitted to all users after both choices.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.arrays import Floats, Indices
from tasks.calibration.choice import FOLDS, MEASURED, assign_folds
from tasks.calibration.fit import fit_logistic
from tasks.columns import POSITION
from tasks.contracts import canonical_json
from tasks.evaluation import binary
from tasks.evaluation.binary import divide
from tasks.evaluation.evidence import HeadChoice, HeadModel, HeadModels, PinnedModel
from tasks.evaluation.figures import Figure, group_by_segment, metric_rows
from tasks.evaluation.observations import Grouping
from tasks.evaluation.paired import PairedRows, normalized_entropy_rise, relative_squared_error_rise
from tasks.evaluation.resampling import Support, cluster_rows, statistic_intervals
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Estimate
from tasks.ranking import maps
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import blend_scores
from tasks.ranking.trunk import TrunkModel
from tasks.stores.manifest import CHOICE, Part
from tasks.training import debiasing
from tasks.training.draw_examples import user_or_request
from tasks.training.rows import TaskRows, read_labels
from tasks.training.slices import DaySlice
from tasks.training.trees import read_model, score_rows

MODELS: Final[tuple[HeadModel, ...]] = ("trees", "trunk", "blend")
WORST: Final = 0.05
"""Share of the trees' error by which a trunk may be significantly worse and still be blended with them."""

_COMPARED: Final[tuple[tuple[str, HeadModel, HeadModel], ...]] = (
    ("trunk", "trees", "trunk"),
    ("blend", "trees", "blend"),
    ("trunk over blend", "blend", "trunk"),
)
"""Comparisons by name: the baseline and the model."""

Shown = Callable[[Floats], Floats]
"""Converts predictions at the reference position to the shown positions."""


@dataclass(frozen=True)
class ModelScores:
    """Scores of two models of a task for the same rows.

    Attributes
    ----------
    trees, trunk : [n] log odds, or values for a value task.
    outcomes : [n] 0 or 1, or a value.
    users : [n] ids, none missing.
    weights : [n] row weights for fitting a map; None counts each row once.
    value : whether the task is a value task.
    """

    trees: Floats
    trunk: Floats
    outcomes: Floats
    users: npt.NDArray[Any]
    weights: Floats | None = None
    value: bool = False

    def raw(self, model: HeadModel) -> Floats:
        """Return a model's scores, those of the blend as the mean of both, shape [n]."""
        match model:
            case "trees":
                return self.trees
            case "trunk":
                return self.trunk
            case "blend":
                return (self.trees + self.trunk) / 2


def choose(rows: ModelScores, *, shown: Shown | None = None) -> HeadChoice:
    """Choose the model of a task on held-out users.

    Parameters
    ----------
    shown : converts predictions [n] at the reference position to the shown positions.

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
    # both outcomes must remain if any fold of the choosing users is held out
    learned = (rows.outcomes[(fold != held) & (fold != MEASURED)] for held in range(FOLDS))
    if not all(len(side) and np.ptp(side) > 0 for side in learned):
        reason = "trees are kept: positives or negatives come from too few users to hold some out"
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
    """Apply the rule to three rises in normalized entropy, which are negative if the first model is better.

    Parameters
    ----------
    trunk, blend : rises over the trees.
    over_blend : rise of the trunk over the blend.
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
    """Return paired rises in normalized entropy, or in relative squared error for value tasks, by group.

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
    return binary.normalized_entropy(rows.outcomes, predictions)


def fit_line(rows: ModelScores, model: HeadModel, at: npt.NDArray[np.bool_]) -> Callable[[Floats], Floats]:
    """Fit the function that maps a model's log odds to probabilities, or scales its values, on some rows.

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
    line = fit_logistic(maps.compress_logits(raw), y, w)
    return lambda logits: line.of_logits(maps.compress_logits(logits))


def _predict_held_out(rows: ModelScores, model: HeadModel, fold: Indices) -> Floats:
    """Predict every choosing row with a line fitted to the other folds; measured rows stay raw."""
    raw = rows.raw(model)
    predicted = raw.copy() if rows.value else maps.expit(raw)
    for held in range(FOLDS):
        others = (fold != held) & (fold != MEASURED)
        predicted[fold == held] = fit_line(rows, model, others)(raw[fold == held])
    return predicted


def _explain(model: HeadModel, errors: Mapping[HeadModel, float], rises: Mapping[str, Estimate]) -> str:
    """Explain the choice of a model with the held-out figures.

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


TREES: Final = "trees"
"""Baseline of the rises: the model that every task has."""
_REPLICATES: Final = 500


@dataclass(frozen=True)
class TaskModels:
    """A task's trees, and its shared trunk; None without a trunk, or if none was trained."""

    rows: TaskRows
    model: Part
    booster: lgb.Booster
    encoder: FeatureEncoder
    shared: tuple[Part, TrunkModel] | None

    @classmethod
    def read(cls, rows: TaskRows, model: Part, trunk: Part | None) -> "TaskModels":
        """Fetch and verify the models of a task."""
        registry = rows.workspace.store.registry
        booster, encoder = read_model(registry.files(model))
        shared = None if trunk is None else (trunk, TrunkModel.from_files(registry.files(trunk)))
        return cls(rows, model, booster, encoder, shared)

    def trees(self, days: DaySlice) -> Floats:
        """Return the trees' scores of `TaskRows.report`, shape [rows]; see `score_rows`."""
        rows, model = self.rows, (self.booster, self.encoder)
        return rows.score_once(self.model.sha256, days, lambda: score_rows(rows, days, *model))

    def trunk(self, days: DaySlice) -> Floats:
        """Return the trunk's log odds, or values for a value task, at the shown positions, shape [rows]."""
        if self.shared is None:
            raise ValueError("there is no trunk")
        part, model = self.shared
        return self.rows.score_once(part.sha256, days, lambda: self._trunk(model, days))

    def _trunk(self, model: TrunkModel, days: DaySlice) -> Floats:
        rows, names = self.rows, list(model.columns)
        placed, given = rows.debiased == "feature", [np.empty(0)]
        for piece in rows.stream_report(days, [*names, POSITION] if placed else names):
            places = piece.column(POSITION).cast(pa.float64()).to_numpy() if placed else None
            given.append(model.log_odds(piece.select(names).to_pandas(), positions=places)[rows.task])
        return np.concatenate(given)

    def scores(self, days: DaySlice, chosen: HeadModels | None) -> Floats:
        """Return the scores of the chosen model, which its map is fitted and applied to, shape [rows]."""
        model: HeadModel = "trees" if chosen is None else chosen.model
        if model == "trees":
            return self.trees(days)
        trees = self.trees(days) if model == "blend" else None
        return blend_scores(self.rows.kind, trees, self.trunk(days))

    def choose(self, *, tested: HeadModels | None) -> HeadModels | None:
        """Choose the model with the calibrate rows; None if there are only trees.

        Parameters
        ----------
        tested : for a refit, the choice for the tested model.
        """
        if self.shared is None:
            return None
        part, rows = self.shared[0], self.rows
        trunk = PinnedModel(name=part.name, version=part.version, sha256=part.sha256)
        asked = rows.workspace.contracts.surface.model_for(rows.task)
        if rows.repeats is not None:
            model = "trees" if tested is None else tested.model
            return HeadModels(asked=asked, model=model, trunk=trunk, choice=None)
        calibrate = rows.slices.calibrate
        held, table = self._head_rows(calibrate), rows.report(calibrate)
        choice = choose(held, shown=lambda given: debiasing.predict_where_shown(rows, table, given))
        model = choice.model if asked == "best" else asked
        figures = tuple(self._figures(held)) if rows.measures else ()
        return HeadModels(asked=asked, model=model, trunk=trunk, choice=choice, figures=figures)

    def _head_rows(self, days: DaySlice) -> ModelScores:
        table = self.rows.report(days)
        scores, value = self.trees(days), self.rows.kind == "value"
        return ModelScores(
            trees=scores if value else maps.logit(scores),
            trunk=self.trunk(days),
            outcomes=read_labels(table, self.rows.task),
            users=np.asarray(user_or_request(table).to_pandas()),
            weights=debiasing.calibration_weights(self.rows, table, scores),
            value=value,
        )

    def _figures(self, calibrate: ModelScores) -> Iterator[Figure]:
        """Measure every model on the test days, overall and by segment."""
        rows, test = self.rows, self.rows.test
        held = self._head_rows(rows.slices.test)
        every = np.ones(len(calibrate.outcomes), dtype=bool)
        predicted = {
            model: debiasing.predict_where_shown(
                rows, test, fit_line(calibrate, model, every)(held.raw(model))
            )
            for model in MODELS
        }
        for group in group_by_segment(rows.test_segments, len(held.outcomes)):
            yield from _measure(rows.task, held, predicted, group)


def _measure(
    task: str, rows: ModelScores, predicted: Mapping[HeadModel, Floats], group: Grouping
) -> Iterator[Figure]:
    y, once, who = rows.outcomes, np.ones(len(rows.outcomes)), cluster_rows(rows.users)
    support = Support.of(y, once, who.codes, group)
    metric = "relative_squared_error" if rows.value else "normalized_entropy"
    for model, predictions in predicted.items():
        if rows.value:
            columns = [(y - predictions) ** 2, (y - y.mean()) ** 2]
            estimates = statistic_intervals(columns, divide, who, _REPLICATES, group)
        else:
            columns = [binary.row_losses(y, predictions), y, once]
            estimates = statistic_intervals(columns, binary.normalize_entropy, who, _REPLICATES, group)
        figures = metric_rows({metric: estimates}, group, support, resampled=who.resampled)
        yield from (_name(one, Subject(metric, task=task, feature=model), one.estimate) for one in figures)
        if model != TREES:
            subject = Subject(f"{metric}_rise", task=task, feature=model, baseline=TREES)
            rises = find_rises(rows, predicted[TREES], predictions, group)
            yield from (_name(one, subject, rise) for one, rise in zip(figures, rises, strict=True))


def _name(figure: Figure, subject: Subject, estimate: Estimate) -> Figure:
    counts = figure.rows, figure.events, figure.resampled
    return Figure(subject, figure.segment, estimate.value, estimate.low, estimate.high, estimate.n, *counts)


def model_file(models: HeadModels | None) -> dict[str, bytes]:
    """Return the file that names the model of a map; none if the map was fitted to the trees."""
    if models is None or models.model == "trees":
        return {}
    chosen = {"model": models.model, "trunk": models.trunk.to_json()}
    return {CHOICE: canonical_json(chosen).encode()}
