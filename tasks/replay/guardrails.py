"""A utility policy's guardrails, judged by what a replay measured."""

from collections.abc import Iterator, Sequence

from tasks.contracts.utility import Guardrail
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Outcome, Verdict, judge


def judge_guardrail(guardrail: Guardrail, measured: Sequence[Measured], *, run: str) -> list[Verdict]:
    """Judge one guardrail in every segment; where two judges disagree, the worse verdict stands.

    Parameters
    ----------
    guardrail : the bounds.
    measured : this guardrail's metric against this guardrail's baseline (or anchor).
    run : the MLflow run that the figures come from.
    """
    segments = list(dict.fromkeys(m.segment for m in measured))
    return [
        min(
            (v for m in measured if m.segment == segment for v in _verdicts(guardrail, m, run)),
            key=lambda verdict: WORST_FIRST.index(verdict.outcome),
        )
        for segment in segments
    ]


def _verdicts(guardrail: Guardrail, measured: Measured, run: str) -> Iterator[Verdict]:
    for threshold, observed, low, high in _bounds(guardrail, measured):
        if measured.reason:
            outcome = Outcome.CANNOT_TELL
        else:
            outcome = judge(observed, low=low, high=high, action=guardrail.action)
        yield Verdict(
            gate="decision",
            subject=guardrail.metric,
            segment=measured.segment,
            outcome=outcome,
            threshold=threshold,
            observed=observed,
            reason=measured.reason or f"judged by {measured.judge}",
            evidence=run,
            relative=observed is not None and observed is measured.relative,
        )


def _bounds(
    guardrail: Guardrail, measured: Measured
) -> Iterator[tuple[str, Estimate | None, float | None, float | None]]:
    """Yield threshold in words, the observed figure, and the closed range that is allowed."""
    if guardrail.max is not None:
        yield f"<= {guardrail.max:g}", measured.policy, None, guardrail.max
    if guardrail.min is not None:
        yield f">= {guardrail.min:g}", measured.policy, guardrail.min, None
    if (rise := guardrail.relative_increase_max) is not None:
        yield f"rise of {rise:.1%}", measured.relative, None, rise
    if (drop := guardrail.relative_decrease_max) is not None:
        yield f"fall of {drop:.1%}", measured.relative, -drop, None
