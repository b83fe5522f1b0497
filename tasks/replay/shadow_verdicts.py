"""Evaluates a challenger on the newest traffic by the bounds of the surface.

::

    overlap_at_k   share of slots that both releases give to the same items         at least overlap_at_k_min
    score_shift    mean change of utility, in the champion's standard deviations    at most score_shift_max
    error_rate     share of the day's requests without an answer or a filled slot   at most error_rate_max
    filled_slots   slots filled, as a change against the champion                   a fall of at most 1 %
    latency        time to score a request, as a multiple of the champion's         at most latency_ratio_max
    served         greatest difference between the served and the recomputed scores             at most 1e-6
    packed         the same between the scores of the MLflow model and the replay               at most 1e-6
    constraints    candidates in its slots that break a hard constraint                          none
"""

from typing import Final

from tasks.contracts.gates import ShadowGate
from tasks.evaluation.subjects import ALL, NO_THRESHOLD, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict, evaluate_interval
from tasks.replay.evidence import (
    PackedScores,
    Reproduction,
    ScoringFailures,
    ScoringTimes,
    ShadowComparison,
    ShadowEvidence,
)
from tasks.replay.slate_checks import evaluate_filled, evaluate_leaks
from tasks.reports.numbers import format_counted

GATE = "shadow"
PARITY = "parity"
LATENCY = "latency"
"""The gate on measured times, which are not reproducible from the same inputs."""
TOLERANCE: Final = 1e-6
"""Greatest difference between scores logged at serving time and rescored ones."""
_APART: Final = Threshold(high=TOLERANCE, unit="apart")


def evaluate_shadow(
    bounds: ShadowGate, comparison: ShadowComparison | None, *, run: str
) -> tuple[Verdict, ...]:
    """Evaluate a challenger's changes on the newest traffic.

    Parameters
    ----------
    comparison : with the champion; None for a first release, which has no rule.
    run : the MLflow run that the figures come from.
    """
    if comparison is None:
        reason = "a first release has no champion to compare with"
        subject = Subject("overlap_at_k")
        return (Verdict(GATE, subject, ALL, Outcome.NO_RULE, NO_THRESHOLD, None, reason, run),)
    bounded = (
        ("overlap_at_k", comparison.overlap_at_k, Threshold(low=bounds.overlap_at_k_min)),
        ("score_shift", comparison.score_shift, Threshold(high=bounds.score_shift_max)),
    )
    return tuple(
        Verdict(
            gate=GATE,
            subject=Subject(name),
            segment=ALL,
            outcome=evaluate_interval(seen, low=threshold.low, high=threshold.high),
            threshold=threshold,
            observed=seen,
            evidence=run,
        )
        for name, seen, threshold in bounded
    )


def evaluate_failures(bounds: ShadowGate, failures: ScoringFailures, *, run: str) -> Verdict:
    """Evaluate the share of requests that a challenger leaves without an answer."""
    most, subject = bounds.error_rate_max, Subject("error_rate")
    threshold = Threshold(high=most, unit="of requests")
    share = failures.challenger / failures.requests if failures.requests else 0.0
    before = "" if failures.champion is None else f", {failures.champion:,} under the champion"
    reason = f"{failures.challenger:,} of {failures.requests:,} requests get no answer{before}"
    if failures.empty:
        by = f", most of whose candidates {failures.emptied_by} drops" if failures.emptied_by else ""
        reason += f"; {format_counted(failures.empty, 'slate')} of theirs empty{by}"
    return Verdict(
        gate=GATE,
        subject=subject,
        segment=ALL,
        outcome=Outcome.PASS if share <= most else Outcome.BLOCK,
        threshold=threshold,
        observed=Estimate(share, share, share, failures.requests),
        reason="; ".join(filter(None, (reason, failures.example))),
        evidence=run,
    )


def evaluate_times(bounds: ShadowGate, times: ScoringTimes | None, *, run: str) -> Verdict:
    """Evaluate the challenger's scoring time per request, compared with the champion's.

    An inconclusive time holds only if a longer time would block.

    Parameters
    ----------
    times : None if nothing was timed.
    """
    most, subject = bounds.latency_ratio_max, Subject("scoring_time")
    threshold = Threshold(high=most, unit="times the champion's")
    if times is None:
        reason = "not timed: no champion, or a request without an answer"
        return Verdict(LATENCY, subject, ALL, Outcome.NO_RULE, threshold, None, reason, run)
    of_challenger, of_champion = times.challenger_ms.value, times.champion_ms.value
    return Verdict(
        gate=LATENCY,
        subject=subject,
        segment=ALL,
        outcome=evaluate_interval(times.ratio, high=most, action=bounds.latency_action),
        threshold=threshold,
        observed=times.ratio,
        reason=f"{of_challenger:.3g} ms a request, the champion's {of_champion:.3g} ms, "
        f"{times.requests} in alternation",
        evidence=run,
        holds=None if bounds.latency_action == "block" else False,
    )


def evaluate_serving(
    bounds: ShadowGate, shadowed: ShadowEvidence, times: ScoringTimes | None, *, run: str
) -> tuple[Verdict, ...]:
    """Evaluate serving: constraint leaks, failures, filled slots, scoring time and parity with the replay."""
    filled, before, against = shadowed.filled, shadowed.filled_by_champion, f"champion {shadowed.champion}"
    return (
        *evaluate_leaks(shadowed.leaks, candidates=shadowed.candidates, where=f"{shadowed.day}", run=run),
        evaluate_failures(bounds, shadowed.failures, run=run),
        evaluate_filled(filled, before, gate=GATE, against=against, run=run),
        evaluate_times(bounds, times, run=run),
        *evaluate_parity(shadowed.reproduced, shadowed.packed, run=run),
    )


def evaluate_parity(
    reproduced: Reproduction | None, packed: PackedScores, *, run: str
) -> tuple[Verdict, ...]:
    """Evaluate whether releases reproduce their served scores, and whether MLflow serves the replayed scores.

    Parameters
    ----------
    reproduced : None if the log has no served scores, or other releases served them.
    run : the MLflow run that compared; it fails on a served mismatch, so none can occur here.
    """
    return _served(reproduced, run), _packed(packed, run)


def _served(reproduced: Reproduction | None, run: str) -> Verdict:
    if reproduced is None:
        reason = "the log does not contain what these releases served on that day"
        return Verdict(PARITY, Subject("served"), ALL, Outcome.NO_RULE, _APART, None, reason, run)
    gap, rows = reproduced.greatest_difference, reproduced.rows
    return _apart(Subject("served"), gap, rows, f"{rows:,} logged predictions scored again", run)


def _packed(packed: PackedScores, run: str) -> Verdict:
    subject = Subject("packed")
    if packed.problem:
        said = f"MLflow does not take the day's candidates: {packed.problem}"
        return Verdict(PARITY, subject, ALL, Outcome.INCONCLUSIVE, _APART, None, said, run, holds=False)
    said = f"{packed.rows:,} predictions as MLflow serves them"
    return _apart(subject, packed.greatest_difference, packed.rows, said, run)


def _apart(subject: Subject, gap: float, rows: int, reason: str, run: str) -> Verdict:
    outcome = Outcome.PASS if gap <= TOLERANCE else Outcome.BLOCK
    return Verdict(PARITY, subject, ALL, outcome, _APART, Estimate(gap, gap, gap, rows), reason, run)
