"""Checks slates of every kind of policy: items that break a hard constraint, and filled slots.

A release decides with the code packaged in it. Each hard constraint is checked again,
independently, on the rows in slots.

::

    release under test    a verdict of the gate ``constraints``, in simulation and shadow, which holds it,
                          is listed in its dossier, and cannot be overridden
    baseline releases     a warning: a champion that leaks must not hold its successor
    proposed policies     refused

Fewer filled slots than the baseline, or an empty slate, mean a page without content.

::

    filled_slots    slots filled, as a change against the baseline      a fall of 1 % at most
    empty_slates    share of requests with no slot filled, no answer    at most error_rate_max

Slots are counted, not estimated, so no interval is needed.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pandas as pd

from tasks.arrays import Integers
from tasks.contracts import UtilitySpec
from tasks.errors import GateRefused
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.ranking.constraints import iterate_violations
from tasks.ranking.utility import choose_contexts
from tasks.replay.evidence import ConstraintLeak, FilledSlots
from tasks.reports.numbers import format_counted

GATE: Final = "constraints"
"""The gate of hard constraints; a contract cannot declare it overridable."""


def count_leaks(candidates: pd.DataFrame, slot: Integers, policy: UtilitySpec) -> tuple[ConstraintLeak, ...]:
    """Count candidates in slots that break a hard constraint, or for which the constraint is unknown.

    Parameters
    ----------
    slot : [n] position in the slate from 1, 0 where the candidate is not in it.
    policy : the policy with the constraints; constraints of its contexts apply to their own rows.

    Returns
    -------
    The constraints that leak, in declared order.
    """
    shown = candidates[slot > 0]
    context = choose_contexts(shown, policy.contexts)
    counts = [(one.name, int(rows.sum())) for one, rows, _ in iterate_violations(shown, policy, context)]
    return tuple(ConstraintLeak(constraint=name, items=count) for name, count in counts if count)


def add_leaks(parts: Iterable[Iterable[ConstraintLeak]]) -> tuple[ConstraintLeak, ...]:
    """Add up leaks over blocks of candidates.

    Examples
    --------
    >>> add_leaks([(ConstraintLeak(constraint="legal", items=1),), (),
    ...            (ConstraintLeak(constraint="legal", items=2),)])
    (ConstraintLeak(constraint='legal', items=3),)
    """
    items: dict[str, int] = {}
    for part in parts:
        for leak in part:
            items[leak.constraint] = items.get(leak.constraint, 0) + leak.items
    return tuple(ConstraintLeak(constraint=name, items=count) for name, count in items.items())


def refuse_leaks(leaks: Iterable[ConstraintLeak], *, name: str) -> None:
    """Raise an error if slates leak.

    Parameters
    ----------
    name : name of the policy, for the message.

    Raises
    ------
    GateRefused
        There is a leak; the message lists every constraint with its count.

    Examples
    --------
    >>> refuse_leaks([], name="champion 1")
    >>> refuse_leaks([ConstraintLeak(constraint="legal", items=1)], name="champion 1")
    Traceback (most recent call last):
    ...
    tasks.errors.GateRefused: champion 1 puts into its slots what a hard constraint keeps out: legal 1
    """
    if listed := ", ".join(f"{leak.constraint} {leak.items:,}" for leak in leaks):
        raise GateRefused(f"{name} puts into its slots what a hard constraint keeps out: {listed}")


def evaluate_leaks(
    leaks: Iterable[ConstraintLeak], *, candidates: int, where: str, run: str, beside: str = ""
) -> Iterator[Verdict]:
    """Evaluate the items in a release's slots: each constraint that leaks blocks it.

    Parameters
    ----------
    candidates : number of candidates decided on.
    where : the days of these candidates, for the reason.
    run : the MLflow run that counted.
    beside : name of the release if it is a baseline instead of the release under test.

    Examples
    --------
    >>> leak = ConstraintLeak(constraint="legal", items=3)
    >>> (verdict,) = evaluate_leaks([leak], candidates=900, where="the test days", run="r")
    >>> verdict.gate, str(verdict.subject), verdict.outcome.value, verdict.reason
    ('constraints', 'legal', 'block', '3 of 900 candidates of the test days got a slot')
    >>> (verdict,) = evaluate_leaks([leak], candidates=900, where="the days", run="r", beside="champion 1")
    >>> str(verdict.subject), verdict.outcome.value
    ('legal of champion 1', 'warn')
    """
    for leak in leaks:
        count = float(leak.items)
        yield Verdict(
            gate=GATE,
            subject=Subject("leak", constraint=leak.constraint, baseline=beside),
            segment=ALL,
            outcome=Outcome.WARN if beside else Outcome.BLOCK,
            threshold=Threshold(high=0, unit="in its slots"),
            observed=Estimate(count, count, count, candidates),
            reason=f"{leak.items:,} of {candidates:,} candidates of {where} got a slot",
            evidence=run,
        )


MOST_LOST: Final = 0.01
"""Share of the baseline's filled slots that a release may leave unfilled."""


def count_filled(requests: Integers, slot: Integers) -> FilledSlots:
    """Count requests, requests with an empty slate, and filled slots.

    Parameters
    ----------
    requests : codes 0.. of n candidates.
    slot : position in the slate from 1, 0 off it, [n].

    Examples
    --------
    >>> count_filled(np.array([0, 0, 1]), np.array([1, 2, 0]))
    FilledSlots(requests=2, empty=1, slots=2)
    """
    filled = np.bincount(requests, slot > 0)
    return FilledSlots(requests=len(filled), empty=int(np.sum(filled == 0)), slots=int(filled.sum()))


def evaluate_filled(
    candidate: FilledSlots, reference: FilledSlots | None, *, gate: str, against: str, run: str
) -> Verdict:
    """Evaluate the number of filled slots against the baseline; no rule where the baseline fills none.

    Parameters
    ----------
    reference, against : the baseline's slots on the same requests, and its name; None without a baseline.
    gate, run : the gate of the verdict, and the MLflow run that counted.
    """
    change = (
        (candidate.slots - reference.slots) / reference.slots
        if reference is not None and reference.slots
        else None
    )
    empty = format_counted(candidate.empty, "slate")
    said = "" if reference is None else f", {reference.slots:,} by {against}"
    return Verdict(
        gate=gate,
        subject=Subject("filled_slots"),
        segment=ALL,
        outcome=Outcome.NO_RULE
        if change is None
        else Outcome.PASS
        if change >= -MOST_LOST
        else Outcome.BLOCK,
        threshold=Threshold(low=-MOST_LOST, words=f"fall of {MOST_LOST:.1%}"),
        observed=None if change is None else Estimate(change, change, change, candidate.requests),
        reason=f"{candidate.slots:,} slots are filled{said}; {empty} of {candidate.requests:,} are empty",
        evidence=run,
        relative=True,
    )


def evaluate_empty(candidate: FilledSlots, *, most: float, gate: str, run: str) -> Iterator[Verdict]:
    """Yield a verdict if the share of requests with an empty slate exceeds the limit."""
    share = candidate.empty / candidate.requests if candidate.requests else 0.0
    if share > most:
        yield Verdict(
            gate=gate,
            subject=Subject("empty_slates"),
            segment=ALL,
            outcome=Outcome.BLOCK,
            threshold=Threshold(high=most, unit="of requests"),
            observed=Estimate(share, share, share, candidate.requests),
            reason=f"{candidate.empty:,} of {candidate.requests:,} requests get an empty slate: no answer",
            evidence=run,
        )
