"""The model gate on gains: a head that predicts too much better than the champion's may leak its outcome.

::

    the same recipe          fall of normalized entropy against the champion, same rows: at most 3 %, or
                             4 standard deviations of the gains of past retrains if that is more
    another recipe           its gain on the same day's data is subtracted; the rest has the same limit. A
                             recipe's own gain beyond 3 % warns, and holds if one feature that the champion's
                             model does not read has most of it
    no champion              warns of a feature that has over 60 % of the gain of the trees, or that alone
                             ranks within .05 of a head whose AUC within requests is above .9

A value's squared error and a quantile's pinball loss, over a constant's, replace the entropy; for a ranking
head it is the AUC by request. Segments are tested as one family. A blocked gain can be overridden by the role
that ``override`` in surface.yaml names for the gate ``model``; the reason it gives is the cause of the gain.
Without a champion a plausible gain is unknown, so the feature is a warning: reviewers are asked whether it is
known before the outcome. A head that has no weight and is no cost only warns.

Comparing recipes on the same days shows how much of a gain may come from newer data alone::

    the same recipe      only the data differ from the champion's; the row reports by how many days
    another, compared    drop in AUC by request, and rise in normalized entropy (a value's squared error, a
                         quantile's pinball loss), against the champion's recipe, trained as of the same
                         instant: at most what the model gate allows, also in segments
    another, not         the comparison with the champion also credits the recipe with newer rows, so the row
                         warns if the champion's rows are older, with the reason for the missing comparison

The training step compares recipes (`tasks.training.same_day`); a reused task has the champion's recipe.
"""

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tasks.contracts.gates import ModelGate
from tasks.evaluation.evidence import ChampionComparison, HeadInputs, SegmentComparison
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, SAME_DAY, Segment, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.gates.model import LEVEL, Opponent, SegmentLoss, evaluate_comparison, evaluate_losses
from tasks.reports.numbers import format_number, format_share

_SUBJECT = Subject("same_day_champion")
_THRESHOLD = Threshold(words="same recipe, rows no newer, or compared")
_AGAINST = "the champion's recipe, trained as of the same day on the same labels"


@dataclass(frozen=True)
class SameDay:
    """The training step's comparison of a changed recipe, or the reason why there is none, and its run."""

    comparison: ChampionComparison | None
    reason: str
    run: str


@dataclass(frozen=True)
class RecipePair:
    """The training recipes of a task in the release and in the champion.

    Attributes
    ----------
    recipe, champion_recipe : digests, None if not recorded.
    newer_by : days from the newest row of the champion's model to that of the release's.
    same_day : the comparison of the recipes, if they differ.
    added : features that only the release's model reads.
    """

    task: str
    recipe: str | None
    champion_recipe: str | None
    newer_by: int
    same_day: SameDay | None = None
    added: tuple[str, ...] = ()

    @property
    def compared(self) -> ChampionComparison | None:
        """The comparison of the recipes, or None."""
        return None if self.same_day is None else self.same_day.comparison


def evaluate_same_day(pairs: Sequence[RecipePair] | None, *, run: str) -> Verdict:
    """Report how much of the release's gain may come from newer rows alone.

    Examples
    --------
    >>> evaluate_same_day([RecipePair("click", "a", "a", newer_by=14)], run="r").reason
    'same recipe: what differs is data only, newer by 14 days'
    """
    if not pairs:
        reason = "no champion to compare with" if pairs is None else "no task in common with the champion"
        return Verdict("model", _SUBJECT, ALL, Outcome.NO_RULE, _THRESHOLD, None, reason, run)
    days = float(max(pair.newer_by for pair in pairs))
    warns = any(pair.newer_by > 0 for pair in pairs if _differs(pair) and pair.compared is None)
    return Verdict(
        gate="model",
        subject=_SUBJECT,
        segment=ALL,
        outcome=Outcome.WARN if warns else Outcome.NO_RULE,
        threshold=_THRESHOLD,
        observed=Estimate(days, days, days, len(pairs)),
        reason=_reason(pairs),
        evidence=run,
    )


def evaluate_recipes(gate: ModelGate, pairs: Sequence[RecipePair] | None) -> Iterator[Verdict]:
    """Compare each changed recipe with the champion's on the same days, by the rules of `evaluate_models`."""
    compared = [pair.same_day for pair in pairs or () if pair.same_day is not None and _differs(pair)]
    found = [(one.comparison, one.run) for one in compared if one.comparison is not None]
    for comparison, run in found:
        against = Opponent(_AGAINST, run, baseline=SAME_DAY)
        yield from evaluate_comparison(gate, comparison, against, level=LEVEL / len(found))


def _reason(pairs: Sequence[RecipePair]) -> str:
    changed = [pair for pair in pairs if _differs(pair)]
    unknown = [pair.task for pair in pairs if _is_unknown(pair)]
    newer = max(pair.newer_by for pair in pairs)
    if changed:
        return "; ".join(_explain_changed(changed))
    if unknown:
        return f"an earlier program kept no recipe of {', '.join(unknown)}; rows newer by {newer} days"
    if newer == 0 and all(pair.newer_by == 0 for pair in pairs):
        return "same recipe and equally new rows"
    return f"same recipe: what differs is data only, newer by {newer} days"


def _explain_changed(changed: Sequence[RecipePair]) -> Iterator[str]:
    """List the tasks with another recipe: compared tasks, then the others with the reason."""
    compared = ", ".join(pair.task for pair in changed if pair.compared is not None)
    rest = [pair for pair in changed if pair.compared is None]
    if compared:
        yield f"another recipe than the champion's, compared with it as of the same day: {compared}"
    if rest:
        named = ", ".join(f"{pair.task} ({_explain_uncompared(pair)})" for pair in rest)
        yield f"another recipe than the champion's, and newer rows may be all of its gain: {named}"


def _explain_uncompared(pair: RecipePair) -> str:
    newer = f"rows newer by {pair.newer_by} days"
    return newer if pair.same_day is None else f"{newer}; not compared: {pair.same_day.reason}"


def _differs(pair: RecipePair) -> bool:
    return not _is_unknown(pair) and pair.recipe != pair.champion_recipe


def _is_unknown(pair: RecipePair) -> bool:
    """Whether a model records no recipe; a model that both releases serve has the same recipe."""
    same = pair.recipe == pair.champion_recipe and pair.newer_by == 0
    return not same and None in {pair.recipe, pair.champion_recipe}


GAINS: Final = (
    "normalized_entropy_fall",
    "relative_squared_error_fall",
    "relative_pinball_loss_fall",
    "auc_by_request_rise",
)
"""Metric of a head's gain, by kind of error."""
MOST: Final = 0.03
"""Fall of normalized entropy that is always plausible: in simulated worlds an honest week gains up to .002, a
head half-way to the truth .007 to .015, and a head that leaks 40 % of its positives .15."""
_DEVIATIONS: Final = 4.0
_LEAST_PAST: Final = 5
"""Number of past retrains from which their gains widen the limit."""
_MOST_OF_ONE: Final = 0.6
_NEAR: Final = 0.05
_HIGH_AUC: Final = 0.9
_ASK: Final = "is it known before the outcome? Look for a column that is written after it"
_CAUSE: Final = "a leak gains as much: name the cause by an override of the gate model"


@dataclass(frozen=True)
class Gains:
    """Inputs of the evaluation of gains.

    Attributes
    ----------
    counted : tasks whose heads have a weight or a cost; other tasks only warn.
    recipes : recipes of the heads and of the champion's, by task.
    past : gains of the surface's past retrains, by subject of the verdict.
    inputs : features of the heads, by task.
    run : the run that measured the heads.
    """

    counted: Collection[str] = ()
    recipes: Mapping[str, RecipePair] = field(default_factory=dict)
    past: Mapping[Subject, Sequence[float]] = field(default_factory=dict)
    inputs: Mapping[str, HeadInputs] = field(default_factory=dict)
    run: str = ""

    def bound(self, subject: Subject) -> float:
        """Return the largest plausible gain of an unchanged recipe.

        Examples
        --------
        >>> fall = Subject("normalized_entropy_fall", task="click")
        >>> Gains(past={fall: [0.0, 0.02, 0.0, 0.02]}).bound(fall)
        0.03
        >>> round(Gains(past={fall: [0.0, 0.02, 0.0, 0.02, 0.01]}).bound(fall), 3)
        0.04
        """
        past = self.past.get(subject, ())
        return max(MOST, _DEVIATIONS * statistics.stdev(past)) if len(past) >= _LEAST_PAST else MOST


def evaluate_gains(
    tasks: Sequence[TaskFigures],
    comparisons: Sequence[ChampionComparison] | None,
    gains: Gains,
    *,
    run: str,
) -> Iterator[Verdict]:
    """Evaluate the heads' gains over the champion's; without a champion, their most important features."""
    compared = {comparison.task: comparison for comparison in comparisons or ()}
    for task in tasks:
        evaluated = list(
            _evaluate_task(task, compared.get(task.task), gains, run, level=LEVEL / max(1, len(compared)))
        )
        counts = task.task in gains.counted
        yield from evaluated if counts else map(_warn, evaluated)


def _warn(verdict: Verdict) -> Verdict:
    if verdict.outcome is not Outcome.BLOCK:
        return verdict
    return replace(verdict, outcome=Outcome.WARN, reason=f"{verdict.reason}; it carries no weight")


def _evaluate_task(
    task: TaskFigures, comparison: ChampionComparison | None, gains: Gains, run: str, *, level: float
) -> Iterator[Verdict]:
    pair, inputs = gains.recipes.get(task.task), gains.inputs.get(task.task)
    by_recipe = None if pair is None else pair.compared
    if comparison is None and by_recipe is None:
        yield from _named_features(task, inputs, gains.run)
    if pair is not None and pair.same_day is not None:
        yield from _of_recipe(task, pair, pair.same_day, inputs, level=level)
    if comparison is not None:
        yield from _of_data(comparison, by_recipe, gains, run, level=level)


def _of_data(
    comparison: ChampionComparison,
    same_day: ChampionComparison | None,
    gains: Gains,
    run: str,
    *,
    level: float,
) -> Iterator[Verdict]:
    """Evaluate the gain from newer data; the gain of a changed recipe is subtracted."""
    metric, by_recipe = _gain(comparison)[0], _by_segment(same_day)
    gained = {
        segment: _less(one, by_recipe[segment].value if segment in by_recipe else 0.0)
        for segment, one in _by_segment(comparison).items()
    }
    subject = Subject(metric, task=comparison.task)
    against = "against the champion, same rows"
    against += "" if same_day is None else ", without what the recipe gains on the same day's data"
    for segment, one, outcome in _evaluate_gains(gained, bound := gains.bound(subject), level=level):
        reason = f"{against}; {_CAUSE}" if outcome is Outcome.BLOCK else against
        threshold = Threshold(high=bound)
        yield Verdict("model", subject, segment, outcome, threshold, one, reason, run, holds=False)


def _of_recipe(
    task: TaskFigures, pair: RecipePair, same_day: SameDay, inputs: HeadInputs | None, *, level: float
) -> Iterator[Verdict]:
    """Evaluate the gain of a changed recipe over the champion's, both trained on the same labels."""
    if same_day.comparison is None:
        return
    subject = Subject(_gain(same_day.comparison)[0], task=task.task, baseline=SAME_DAY)
    shares = {} if inputs is None else inputs.gains
    added = {name: shares.get(name, 0.0) for name in pair.added}
    suspected = any(share > _MOST_OF_ONE or name == _near(task) for name, share in added.items())
    named = ", ".join(f"{name} ({format_share(share)} of the trees' gain)" for name, share in added.items())
    adds = f"; it adds {named}: {_ASK}" if added else "; it adds no feature"
    beyond = (Outcome.BLOCK, f"{adds}; {_CAUSE}") if suspected else (Outcome.WARN, adds)
    for segment, one, found in _evaluate_gains(_by_segment(same_day.comparison), MOST, level=level):
        outcome, rest = beyond if found is Outcome.BLOCK else (found, "")
        reason = f"against the champion's recipe, trained as of the same day on the same labels{rest}"
        yield Verdict(
            "model", subject, segment, outcome, Threshold(high=MOST), one, reason, same_day.run, holds=False
        )


def _evaluate_gains(
    gained: Mapping[Segment, Estimate], bound: float, *, level: float
) -> Iterator[tuple[Segment, Estimate, Outcome]]:
    """Evaluate the gain over all rows, and yield the segments with a significant gain.

    A significant gain over all rows blocks if its value is above the limit.
    """
    if whole := gained.get(ALL):
        beyond = whole.known and whole.value > bound and whole.low > 0
        within = Outcome.PASS if whole.known and whole.high <= bound else Outcome.INCONCLUSIVE
        yield ALL, whole, Outcome.BLOCK if beyond else within
        if beyond:  # segments would repeat it
            return
    parts = [SegmentLoss(segment, "", one, bound) for segment, one in gained.items() if segment != ALL]
    for one in evaluate_losses(parts, level=level):
        if one.lost:
            yield one.of.segment, one.of.loss, Outcome.BLOCK


def _named_features(task: TaskFigures, inputs: HeadInputs | None, run: str) -> Iterator[Verdict]:
    """Warn of the feature that a head without a champion depends on most."""
    shares = {} if inputs is None else inputs.gains
    largest = max(shares, key=lambda name: shares[name], default=None)
    if largest is not None and shares[largest] > _MOST_OF_ONE:
        share = shares[largest]
        observed = Estimate(share, share, share, len(shares))
        reason = f"{largest} has most of the trees' gain: {_ASK}"
        subject, most = Subject("gain_of_one_feature", task=task.task), Threshold(high=_MOST_OF_ONE)
        yield Verdict("model", subject, ALL, Outcome.WARN, most, observed, reason, run)
    near, ranked = _near(task), task.references and task.references.auc_by_request
    if near is not None and ranked:
        reason = f"{near} alone ranks within {_NEAR:g} of a head whose AUC within requests is "
        reason += f"{format_number(ranked.head.value)}: {_ASK}"
        subject = Subject("auc_of_one_feature", task=task.task)
        yield Verdict("model", subject, ALL, Outcome.WARN, NO_THRESHOLD, ranked.best, reason, run)


def _near(task: TaskFigures) -> str | None:
    """Return the single feature that ranks almost as well as a head that ranks very well, or None."""
    ranked = task.references and task.references.auc_by_request
    if not ranked or not ranked.head.value > _HIGH_AUC:
        return None
    return ranked.feature if ranked.best.value >= ranked.head.value - _NEAR else None


def _gain(of: ChampionComparison | SegmentComparison) -> tuple[str, Estimate | None]:
    """Return the metric and the size of a head's gain, by its kind of error."""
    losses = (
        of.normalized_entropy_rise,
        of.relative_squared_error_rise,
        of.relative_pinball_loss_rise,
        of.auc_by_request_drop,
    )
    for metric, loss in zip(GAINS, losses, strict=True):
        if loss is not None:
            return metric, Estimate(-loss.value, -loss.high, -loss.low, loss.n)
    return "", None


def _by_segment(of: ChampionComparison | None) -> dict[Segment, Estimate]:
    """Return the known gains over all rows and by segment."""
    if of is None:
        return {}
    found = {ALL: _gain(of)[1], **{one.segment: _gain(one)[1] for one in of.segments}}
    return {segment: one for segment, one in found.items() if one is not None and math.isfinite(one.value)}


def _less(gained: Estimate, part: float) -> Estimate:
    return Estimate(gained.value - part, gained.low - part, gained.high - part, gained.n)
