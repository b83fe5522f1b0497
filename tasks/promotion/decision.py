"""Turn verdicts into one decision: promote, or hold with every reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.evaluation.verdicts import Outcome, Verdict, stops
from tasks.replay.leaks import GATE as CONSTRAINTS
from tasks.reports.phrases import NO_WORDS, Vocabulary, phrase_verdict


@dataclass(frozen=True)
class GateDecision:
    """The decision on a release, with a phrase for each verdict that holds it or warns.

    ``canary_permitted``: the release may enter a ramp as the canary, because every verdict that holds it is
    inconclusive and the surface permits this (``gates.decision.shown_only: canary``).
    """

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    canary_permitted: bool = False

    @property
    def verdict(self) -> Literal["promote", "hold"]:
        """``hold`` if there is at least one reason, else ``promote``."""
        return "hold" if self.reasons else "promote"


def decide_release(
    verdicts: Sequence[Verdict], *, inconclusive: Literal["hold", "warn"], words: Vocabulary = NO_WORDS
) -> GateDecision:
    """Decide on a release.

    A release is promoted if no verdict holds it and at least one is a pass or a warning. Blocks and missing
    metrics hold. An inconclusive verdict holds or warns by its own rule (the primary metric holds, a
    guardrail has its own rule), else by the surface's ``inconclusive``. Violations of hard constraints are
    listed first, then harmed segments.

    Examples
    --------
    >>> decide_release([], inconclusive="warn")
    GateDecision(reasons=('no gate was evaluated',), warnings=(), canary_permitted=False)
    """
    if not verdicts:
        return GateDecision(("no gate was evaluated",))
    ordered = sorted(verdicts, key=lambda verdict: (verdict.gate != CONSTRAINTS, not verdict.harms_segment))
    warnings = tuple(explain_verdict(v, words) for v in ordered if _warns(v, inconclusive))
    holding = find_holding(ordered, inconclusive=inconclusive)
    reasons = tuple(explain_verdict(verdict, words) for verdict in holding)
    if not reasons and not any(v.outcome in {Outcome.PASS, Outcome.WARN} for v in verdicts):
        reasons = ("every verdict is inconclusive or has no limit: none is a pass",)
    return GateDecision(
        reasons, warnings, canary_permitted=bool(holding) and all(map(permits_canary, holding))
    )


def permits_canary(verdict: Verdict) -> bool:
    """Whether a verdict is inconclusive and holds a release only from becoming champion without a ramp."""
    return verdict.outcome is Outcome.INCONCLUSIVE and verdict.holds == "champion"


def find_holding(verdicts: Sequence[Verdict], *, inconclusive: Literal["hold", "warn"]) -> list[Verdict]:
    """Return the verdicts that hold a release, in their original order."""
    return [verdict for verdict in verdicts if holds_release(verdict, inconclusive)]


def holds_release(verdict: Verdict, inconclusive: Literal["hold", "warn"]) -> bool:
    """Whether a single verdict holds a release.

    Examples
    --------
    >>> from tasks.evaluation.subjects import ALL, Subject, Threshold
    >>> rows = Subject("rows", task="click")
    >>> holds_release(Verdict("data", rows, ALL, Outcome.INCONCLUSIVE, Threshold(low=9), None), "warn")
    False
    """
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return inconclusive == "hold" if verdict.holds is None else bool(verdict.holds)
    return stops(verdict.outcome)


def _warns(verdict: Verdict, inconclusive: Literal["hold", "warn"]) -> bool:
    uncertain = verdict.outcome in {Outcome.WARN, Outcome.INCONCLUSIVE}
    return uncertain and not holds_release(verdict, inconclusive)


def explain_verdict(verdict: Verdict, words: Vocabulary = NO_WORDS) -> str:
    """Return the name of the verdict's gate and the verdict's phrase.

    Examples
    --------
    >>> from tasks.evaluation.subjects import ALL, Subject, Threshold
    >>> from tasks.evaluation.verdicts import Estimate
    >>> seen = Estimate(1.21, 1.15, 1.28, 900)
    >>> ratio = Subject("calibration_ratio", task="click")
    >>> explain_verdict(Verdict("calibration", ratio, ALL, Outcome.BLOCK, Threshold(0.9, 1.1), seen))
    'calibration: calibration of click 1.21 (95 % CI 1.15 to 1.28; 0.9 to 1.1): block'
    """
    return f"{verdict.gate}: {phrase_verdict(verdict, words)}"
