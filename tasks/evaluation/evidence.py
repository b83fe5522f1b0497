"""What the steps found out about a release, gathered for the gates.

::

    validate -> ValidationEvidence      release  -> TaskEvidence per task
    simulate -> guardrail verdicts, comparisons with the champion
    shadow   -> ShadowEvidence
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tasks.errors import DataError
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict


@dataclass(frozen=True)
class ValidationEvidence:
    """The worst severity that failed (None: nothing did) and the run that says so."""

    failed_severity: str | None
    failures: tuple[str, ...]
    run: str


@dataclass(frozen=True)
class SegmentCounts:
    """Rows with a known outcome in a segment, and the positives among them."""

    rows: int
    positives: int


@dataclass(frozen=True)
class TaskEvidence:
    """One task's figures on its test slice: ``figures`` by (metric, segment), ``counts`` by segment."""

    task: str
    kind: str
    rows: int
    positives: int
    figures: Mapping[tuple[str, str], Estimate]
    newest_training_day: date
    run: str
    counts: Mapping[str, SegmentCounts] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """A task's challenger against the champion on the same rows."""

    task: str
    auc_drop: Estimate
    normalized_entropy_rise: Estimate
    run: str


@dataclass(frozen=True)
class ShadowEvidence:
    """How the challenger's slates depart from the champion's on the newest traffic."""

    overlap_at_k: Estimate
    score_shift: Estimate
    run: str


@dataclass(frozen=True)
class Evidence:
    """Everything the gates read; the step that measured ``guardrails`` and ``reports`` has judged them."""

    as_of: datetime
    validation: ValidationEvidence
    tasks: Sequence[TaskEvidence]
    guardrails: Sequence[Verdict]
    comparisons: Sequence[Comparison] | None
    shadow: ShadowEvidence | None
    reports: Sequence[Verdict] = ()


def estimate_to_json(estimate: Estimate) -> dict[str, float | int | None]:
    """Write an estimate as plain JSON; what is not finite becomes null."""
    figures = {name: getattr(estimate, name) for name in ("value", "low", "high")}
    return {**{k: v if math.isfinite(v) else None for k, v in figures.items()}, "n": estimate.n}


def estimate_from_json(plain: Mapping[str, Any]) -> Estimate:
    """Read an estimate; null becomes NaN."""
    value, low, high = (math.nan if plain[k] is None else float(plain[k]) for k in ("value", "low", "high"))
    return Estimate(value, low, high, int(plain["n"]))


def verdict_from_json(plain: Mapping[str, Any]) -> Verdict:
    """Read a verdict that ``Verdict.to_json`` wrote."""
    try:
        observed = plain["observed"]
        return Verdict(
            gate=plain["gate"],
            subject=plain["subject"],
            segment=plain["segment"],
            outcome=Outcome(plain["outcome"]),
            threshold=plain["threshold"],
            observed=None if observed is None else estimate_from_json(observed),
            reason=plain["reason"],
            evidence=plain["evidence"],
            relative=plain["relative"],
        )
    except (KeyError, ValueError) as error:
        raise DataError(f"Not a verdict: {error} in {sorted(plain)}") from error
