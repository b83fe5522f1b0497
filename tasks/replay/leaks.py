"""Counts items in slates that break a hard constraint, for every slate and every kind of policy.

A release decides with the code packaged in it. This module checks each constraint again, independently, on
the rows in slots.

::

    release under test    a verdict of the gate ``constraints``, in simulation and shadow, which holds it,
                          is listed in its dossier, and cannot be overridden
    baseline releases     a warning: a champion that leaks must not hold its successor
    proposed policies     refused
"""

from collections.abc import Iterable, Iterator
from typing import Final

import pandas as pd

from tasks.arrays import Integers
from tasks.contracts import UtilitySpec
from tasks.errors import GateRefused
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.ranking.constraints import iterate_violations
from tasks.ranking.utility import choose_contexts
from tasks.replay.evidence import ConstraintLeak

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
