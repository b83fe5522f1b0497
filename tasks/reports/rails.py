"""The guardrails as one picture: every interval on a scale of its own bound, better to the right.

::

                       bound        as the baseline     a rate that may rise by 10 %, and rose by 11 %
    hide_rate       <----|-o------- |                   0 at the baseline, 1 at the bound
    ndcg_click           |   ---o---|
    spend_rate       ----|--o---                        may not fall: the baseline is the bound
    report_rate          |          o                   a bound on a level: nothing is as before
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Threshold
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Outcome, Verdict
from tasks.reports.phrases import describe_subject, name_subject, write_change, write_interval, write_limit
from tasks.reports.words import Vocabulary

_BEST, _WORST = -1.0, 3.0
"""Ends of the scale, right and left, in bounds from the baseline."""
BASELINE_AT: Final = 100 * (_WORST - 0) / (_WORST - _BEST)
BOUND_AT: Final = 100 * (_WORST - 1) / (_WORST - _BEST)
"""Where the baseline and every bound stand, in percent of the width."""
_UNTOLD: Final = frozenset({Outcome.INCONCLUSIVE, Outcome.METRIC_MISSING})
_BROKEN: Final = frozenset({Outcome.BLOCK, Outcome.WARN})
"""What a bound says of a figure that the baseline has none of."""
_NARROWEST: Final = 0.02
"""What a bound of 0 is drawn against, where the interval is narrower."""


@dataclass(frozen=True)
class Rail:
    """One guardrail: its words, and where value and interval are drawn, in percent of the width.

    ``low`` and ``high`` are None where no interval is known; ``beyond`` says that the interval reaches past
    the left end. ``baseline`` is where no change lies, None of a bound on a level.
    ``why`` says why nothing can be measured.
    """

    metric: str
    meaning: str
    outcome: str
    observed: str
    limit: str
    value: float | None
    low: float | None
    high: float | None
    beyond: bool
    baseline: float | None = BASELINE_AT
    why: str = ""


def draw_rails(verdicts: Sequence[Verdict], words: Vocabulary) -> list[Rail]:
    """Draw every bound of the decision on the whole, the worst first.

    Where there was nothing to judge, a declared bound is drawn empty and all else is left to the table.
    """
    decided = [
        v for v in verdicts if v.gate == "decision" and v.segment == ALL and v.threshold != NO_THRESHOLD
    ]
    judged = [v for v in decided if v.outcome is not Outcome.NO_RULE or v.subject.decided is not None]
    judged.sort(
        key=lambda verdict: (WORST_FIRST.index(verdict.outcome), verdict.subject.name != words.primary)
    )
    return [_rail(verdict, words) for verdict in judged]


def _rail(verdict: Verdict, words: Vocabulary) -> Rail:
    seen, bounds = verdict.observed, verdict.threshold
    value = low = high = None
    beyond = False
    if seen is not None and bounds.bounded and math.isfinite(seen.value):
        value = _place(seen.value, bounds, seen)
        if seen.known:
            low, high = sorted((_place(seen.low, bounds, seen), _place(seen.high, bounds, seen)))
            beyond = max(badness(seen.low, bounds, seen), badness(seen.high, bounds, seen)) > _WORST
    return Rail(
        metric=name_subject(verdict.subject, words),
        meaning=describe_subject(verdict.subject, words),
        outcome=verdict.outcome.value,
        observed=_observed(verdict, words),
        limit=write_limit(verdict, words) + (f" vs {verdict.against}" if verdict.against else ""),
        value=value,
        low=low,
        high=high,
        beyond=beyond,
        baseline=_baseline(verdict),
        why=verdict.reason if verdict.outcome in _UNTOLD else "",
    )


def _baseline(verdict: Verdict) -> float | None:
    """Place no change: at the bound where no change for the worse is allowed."""
    if not verdict.relative:
        return None
    return _place(0.0, verdict.threshold, verdict.observed) if verdict.threshold.bounded else BASELINE_AT


def _observed(verdict: Verdict, words: Vocabulary) -> str:
    """Write the figure with its interval."""
    seen = verdict.observed
    if seen is None or math.isnan(seen.value):
        return "above a baseline of 0" if verdict.outcome in _BROKEN else ""
    return write_change(seen) if verdict.relative else write_interval(verdict.subject, seen, words)


def _place(value: float, bounds: Threshold, seen: Estimate | None) -> float:
    placed = min(max(badness(value, bounds, seen), _BEST), _WORST)
    return round(100 * (_WORST - placed) / (_WORST - _BEST), 1)


def badness(value: float, bounds: Threshold, seen: Estimate | None) -> float:
    """Return how far a value lies on the way to its bound: 0 at the baseline (or 0), 1 at the bound.

    Examples
    --------
    >>> seen = Estimate(0.11, 0.02, 0.22, 900)
    >>> round(badness(0.11, Threshold(high=0.1), seen), 2), badness(-0.05, Threshold(low=-0.1), seen)
    (1.1, 0.5)
    """
    if math.isfinite(bounds.high):
        return value / bounds.high if bounds.high > 0 else 1 + (value - bounds.high) / _scale(seen)
    if bounds.low > 0:
        return 2 - value / bounds.low
    return value / bounds.low if bounds.low < 0 else 1 - value / _scale(seen)


def _scale(seen: Estimate | None) -> float:
    ends = () if seen is None else (seen.value, seen.low, seen.high)
    return max((abs(x) for x in ends if math.isfinite(x)), default=0) or _NARROWEST
