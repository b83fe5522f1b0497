"""What the newest traffic says of a challenger, judged by the bounds of the surface.

::

    overlap_at_k   share of slots that both releases give to the same items         at least overlap_at_k_min
    score_shift    mean change of utility, in the champion's standard deviations    at most score_shift_max
"""

from tasks.contracts.gates import ShadowGate
from tasks.evaluation.replay_evidence import ShadowComparison
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Outcome, Verdict, judge

GATE = "shadow"


def judge_shadow(bounds: ShadowGate, comparison: ShadowComparison | None, *, run: str) -> tuple[Verdict, ...]:
    """Judge a challenger by what it changes on the newest traffic.

    Parameters
    ----------
    comparison : with the champion; None for a first release, for which there is no rule.
    run : the MLflow run that the figures come from.
    """
    if comparison is None:
        reason = "a first release has no champion beside it"
        return (Verdict(GATE, "overlap_at_k", ALL, Outcome.NO_RULE, "", None, reason),)
    overlap, shift = bounds.overlap_at_k_min, bounds.score_shift_max
    return (
        Verdict(
            gate=GATE,
            subject="overlap_at_k",
            segment=ALL,
            outcome=judge(comparison.overlap_at_k, low=overlap),
            threshold=f">= {overlap:g}",
            observed=comparison.overlap_at_k,
            evidence=run,
        ),
        Verdict(
            gate=GATE,
            subject="score_shift",
            segment=ALL,
            outcome=judge(comparison.score_shift, high=shift),
            threshold=f"<= {shift:g}",
            observed=comparison.score_shift,
            evidence=run,
        ),
    )
