"""What of a gain over the champion may be newer data alone: recipes held against each other on the same days.

::

    the same recipe      what differs from the champion is data only, and the row says by how many days
    another, compared    drop in AUC by request, and rise in normalized entropy (a value's squared error, a
                         quantile's pinball loss), against the champion's recipe, trained as of the same
                         instant: at most what the model gate allows, in segments too
    another, and not     the comparison with the champion credits the recipe with newer rows too, so the row
                         warns where the champion's are older, and says why they were not compared

The training step compares (`tasks.training.same_day`); a task that the champion lends has its recipe.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from tasks.contracts.gates import ModelGate
from tasks.evaluation.replay_evidence import ChampionComparison
from tasks.evaluation.subjects import ALL, SAME_DAY, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.gates.model import Opponent, judge_comparison
from tasks.promotion.gates.segment_losses import LEVEL

_SUBJECT = Subject("same_day_champion")
_THRESHOLD = Threshold(words="same recipe, rows no newer, or compared")
_AGAINST = "the champion's recipe, trained as of the same day on the same labels"


@dataclass(frozen=True)
class TaskRecipe:
    """How a task's model was made: a digest of its recipe, None where it says none, and its newest row."""

    task: str
    recipe: str | None
    newest: date


@dataclass(frozen=True)
class SameDay:
    """What the training step found of a recipe that changed: a comparison, or why there is none; its run."""

    comparison: ChampionComparison | None
    reason: str
    run: str


@dataclass(frozen=True)
class RecipePair:
    """A task's model in the release and in the champion, and how their recipes do on the same days.

    ``added``: features that only the release's model reads.
    """

    ours: TaskRecipe
    champion: TaskRecipe
    same_day: SameDay | None = None
    added: tuple[str, ...] = ()

    @property
    def newer_by(self) -> int:
        """Days between the newest rows of both."""
        return (self.ours.newest - self.champion.newest).days

    @property
    def compared(self) -> ChampionComparison | None:
        """What the recipes' comparison says, where there is one."""
        return None if self.same_day is None else self.same_day.comparison


def judge_same_day(pairs: Sequence[RecipePair] | None, *, run: str) -> Verdict:
    """Say what of the release's gain may come from newer rows alone.

    Examples
    --------
    >>> old, new = TaskRecipe("click", "a", date(2026, 5, 1)), TaskRecipe("click", "a", date(2026, 5, 15))
    >>> judge_same_day([RecipePair(new, old)], run="r").reason
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


def judge_recipes(gate: ModelGate, pairs: Sequence[RecipePair] | None) -> Iterator[Verdict]:
    """Judge each changed recipe against the champion's of the same days, as a champion by `judge_models`."""
    compared = [pair.same_day for pair in pairs or () if pair.same_day is not None and _differs(pair)]
    found = [(one.comparison, one.run) for one in compared if one.comparison is not None]
    for comparison, run in found:
        against = Opponent(_AGAINST, run, baseline=SAME_DAY)
        yield from judge_comparison(gate, comparison, against, level=LEVEL / len(found))


def _reason(pairs: Sequence[RecipePair]) -> str:
    changed = [pair for pair in pairs if _differs(pair)]
    unknown = [pair.ours.task for pair in pairs if _is_unknown(pair)]
    newer = max(pair.newer_by for pair in pairs)
    if changed:
        return "; ".join(_explain_changed(changed))
    if unknown:
        return f"an earlier program kept no recipe of {', '.join(unknown)}; rows newer by {newer} days"
    if newer == 0 and all(pair.newer_by == 0 for pair in pairs):
        return "same recipe and equally new rows"
    return f"same recipe: what differs is data only, newer by {newer} days"


def _explain_changed(changed: Sequence[RecipePair]) -> Iterator[str]:
    """Name the tasks of another recipe: those that were compared, then those that were not, and why."""
    compared = ", ".join(pair.ours.task for pair in changed if pair.compared is not None)
    rest = [pair for pair in changed if pair.compared is None]
    if compared:
        yield f"another recipe than the champion's, judged beside it as of the same day: {compared}"
    if rest:
        named = ", ".join(f"{pair.ours.task} ({_explain_uncompared(pair)})" for pair in rest)
        yield f"another recipe than the champion's, and newer rows may be all of its gain: {named}"


def _explain_uncompared(pair: RecipePair) -> str:
    newer = f"rows newer by {pair.newer_by} days"
    return newer if pair.same_day is None else f"{newer}; not compared: {pair.same_day.reason}"


def _differs(pair: RecipePair) -> bool:
    return not _is_unknown(pair) and pair.ours.recipe != pair.champion.recipe


def _is_unknown(pair: RecipePair) -> bool:
    """Whether a model says no recipe; one that both releases serve has the same, whatever it is."""
    same = pair.ours == pair.champion
    return not same and None in {pair.ours.recipe, pair.champion.recipe}
