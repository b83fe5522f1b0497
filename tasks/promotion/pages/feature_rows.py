"""What heads read, as one chart: each feature's share of the gain, and what changed after training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.evaluation.evidence import HeadInputs, InputChange
from tasks.reports.numbers import format_number, spoken

_MOST: Final = 15
"""Features that are shown without unfolding."""


@dataclass(frozen=True)
class FeatureCell:
    """A feature in one head: its share of the gain of all splits (None: not read), and what changed."""

    share: float | None
    changes: tuple[str, ...]


@dataclass(frozen=True)
class FeatureRow:
    """A feature in every head."""

    feature: str
    cells: tuple[FeatureCell, ...]


@dataclass(frozen=True)
class FeatureChart:
    """The heads, the features that they gain most from or that changed, and the others."""

    heads: tuple[str, ...]
    rows: tuple[FeatureRow, ...]
    others: tuple[FeatureRow, ...]


def chart_features(inputs: Sequence[HeadInputs], served: Sequence[HeadInputs]) -> FeatureChart | None:
    """Lay out what heads read; None where no head is known."""
    if not inputs:
        return None
    later = {head.task: head.changes for head in served}
    changes = {head.task: (*head.changes, *later.get(head.task, ())) for head in inputs}
    totals: dict[str, float] = {}
    for head in inputs:
        for feature, share in head.gains.items():
            totals[feature] = totals.get(feature, 0.0) + share
    changed = {one.feature for found in changes.values() for one in found}
    ordered = sorted(totals, key=lambda feature: (feature not in changed, -totals[feature]))
    rows = [
        FeatureRow(
            feature,
            tuple(
                FeatureCell(
                    head.gains.get(feature),
                    tuple(_say_change(one) for one in changes[head.task] if one.feature == feature),
                )
                for head in inputs
            ),
        )
        for feature in ordered
    ]
    return FeatureChart(tuple(head.task for head in inputs), tuple(rows[:_MOST]), tuple(rows[_MOST:]))


def _say_change(change: InputChange) -> str:
    observed, bound = (format_number(value) or "not measured" for value in (change.observed, change.bound))
    return f"{spoken(change.kind)} on {spoken(change.days)} days: {observed}, limit {bound}"
