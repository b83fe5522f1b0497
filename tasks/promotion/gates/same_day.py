"""What of a gain over the champion may be newer data alone: recipes compared, and the days between both.

::

    recipe          the same: what differs from the champion is data only
                    another: the comparison credits the recipe with newer rows too, so it warns where the
                             champion's are older
    newer by        days between the newest rows that both learned from, task by task

No champion of the same day is trained (docs/decisions/0026-no-champion-is-trained-of-the-same-day.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict

_SUBJECT = "same_day_champion"
_THRESHOLD = "the champion's recipe, or its rows no older"


@dataclass(frozen=True)
class TaskRecipe:
    """How a task's model was made: a digest of its recipe, None where it says none, and its newest row."""

    task: str
    recipe: str | None
    newest: date


@dataclass(frozen=True)
class RecipePair:
    """A task's model in the release and in the champion."""

    ours: TaskRecipe
    champion: TaskRecipe

    @property
    def newer_by(self) -> int:
        """Days between the newest rows of both."""
        return (self.ours.newest - self.champion.newest).days


def judge_same_day(pairs: Sequence[RecipePair] | None, *, run: str) -> Verdict:
    """Say what of the release's gain may come from newer rows alone.

    Parameters
    ----------
    pairs : tasks that both predict; None where there is no champion.
    run : the MLflow run that made the release.

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
    changed = [pair for pair in pairs if _differs(pair)]
    unknown = [pair.ours.task for pair in pairs if _is_unknown(pair)]
    outcome = Outcome.WARN if any(pair.newer_by > 0 for pair in changed) else Outcome.NO_RULE
    return Verdict(
        gate="model",
        subject=_SUBJECT,
        segment=ALL,
        outcome=outcome,
        threshold=_THRESHOLD,
        observed=Estimate(days, days, days, len(pairs)),
        reason=_reason(pairs, changed, unknown),
        evidence=run,
    )


def _reason(pairs: Sequence[RecipePair], changed: Sequence[RecipePair], unknown: Sequence[str]) -> str:
    newer = max(pair.newer_by for pair in pairs)
    if changed:
        said = ", ".join(f"{pair.ours.task} (rows newer by {pair.newer_by} days)" for pair in changed)
        return f"another recipe than the champion's, and newer rows may be all of its gain: {said}"
    if unknown:
        return f"an earlier program kept no recipe of {', '.join(unknown)}; rows newer by {newer} days"
    if newer == 0 and all(pair.newer_by == 0 for pair in pairs):
        return "same recipe and equally new rows"
    return f"same recipe: what differs is data only, newer by {newer} days"


def _differs(pair: RecipePair) -> bool:
    return not _is_unknown(pair) and pair.ours.recipe != pair.champion.recipe


def _is_unknown(pair: RecipePair) -> bool:
    """Whether a model says no recipe; one that both releases serve has the same, whatever it is."""
    same = pair.ours == pair.champion
    return not same and None in {pair.ours.recipe, pair.champion.recipe}
