"""Filled slots: fewer slots than the baseline, or an empty slate, mean a page without content.

::

    filled_slots    slots filled, as a change against the baseline      a fall of 1 % at most
    empty_slates    share of requests with no slot filled, no answer    at most error_rate_max

Slots are counted, not estimated, so no interval is needed.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from tasks.arrays import Integers
from tasks.evaluation.subjects import ALL, Subject, Threshold
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.replay.evidence import FilledSlots
from tasks.reports.numbers import format_counted

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
