"""The simulation report: a release's slates compared with its baseline, on one page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.evidence import Measured, SlateRule
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Verdict
from tasks.replay.evaluate import MOST_SHARES, Findings
from tasks.replay.evidence import OffPolicyCheck
from tasks.reports.charts import draw_rails
from tasks.reports.phrases import Vocabulary, describe_subject, find_primary, phrase_verdict, say_outcomes
from tasks.reports.render import render

_BY_DAY: Final = frozenset({MetricKind.OBSERVED_UTILITY, MetricKind.RATE})
_OF_A_TASK: Final = frozenset(
    {
        MetricKind.RATE,
        MetricKind.GIVEN,
        MetricKind.PREDICTED,
        MetricKind.NDCG,
        MetricKind.NAIVE_NDCG,
        MetricKind.RECALL,
    }
)
_BETTER: Final[Mapping[str, str]] = {
    MetricKind.OBSERVED_UTILITY: "more",
    MetricKind.EXPECTED_UTILITY: "more",
    MetricKind.CALIBRATION: "1 is best",
    MetricKind.EXPOSURE_RATIO: "1 is proportional",
    MetricKind.LATENCY: "less",
}
_MEANINGS: Final = {
    MetricKind.PREDICTED: "Predicted rates and expected utility are a release's own predictions: their "
    "intervals show how candidates vary, not the model's error.",
    MetricKind.NDCG: "NDCG has no level here: both share the ideal order, so only the change is reported.",
    MetricKind.NAIVE_NDCG: "The naive NDCG rates shown items alone; no verdict uses it.",
    MetricKind.RECALL: "Recall is the share, over all requests, of the expected outcomes of all "
    "candidates, if examined, that fall into slots.",
    MetricKind.SHARE: f"Shares are of exposure, of at most the {MOST_SHARES} most frequent values; "
    "entropy and Gini index are of all its values.",
    MetricKind.EXPOSURE_RATIO: "An exposure ratio is a group's share of exposure over its share of the merit "
    "that the release under test predicts.",
    MetricKind.SLATE_RULE_ACTIVITY: "Slate-rule activity is the share of slots whose item the plain order by "
    "utility would leave out.",
}


@dataclass(frozen=True)
class Heading:
    """Heading of a report: its title, and the facts of the comparison."""

    title: str
    facts: Sequence[str]


@dataclass(frozen=True)
class SegmentFigures:
    """One segment: the bounds broken there, its change of observed utility, and every metric."""

    name: Segment
    harmed: tuple[Verdict, ...]
    change: Estimate | None
    rows: tuple[Measured, ...]


def simulation_page(
    heading: Heading,
    words: Vocabulary,
    *,
    found: Findings,
    rules: Sequence[SlateRule],
    notes: Sequence[str],
    checks: Sequence[OffPolicyCheck] = (),
) -> str:
    """Render the report as one self-contained page.

    Parameters
    ----------
    words : vocabulary of the surface's contracts.
    found : verdicts, every metric on the whole and by segment, and further policies with the same baseline.
    rules : how often the release's slates meet each slate rule.
    notes : what these data cannot measure.
    checks : bounded figures with their off-policy estimates.
    """
    comparisons = {"Policy and baseline": [m for m in found.measured if m.segment == ALL]}
    comparisons |= {f"{name} and baseline": list(rows) for name, rows in found.others.items()}
    worst = min(found.verdicts, key=lambda one: WORST_FIRST.index(one.outcome), default=None)
    return render(
        "simulation.html.j2",
        title=heading.title,
        facts=[say_outcomes(found.verdicts), *heading.facts],
        worst=worst,
        primary=[phrase_verdict(verdict, words) for verdict in find_primary(found.verdicts, words)],
        rails=draw_rails(found.verdicts, words),
        beside=words.baseline,
        notes=notes,
        harmed=[verdict for verdict in found.verdicts if verdict.harms_segment],
        verdicts=sorted(found.verdicts, key=lambda verdict: not verdict.harms_segment),
        checks=checks,
        by_day=[m for m in found.measured if m.by_day and m.subject.metric in _BY_DAY],
        comparisons=comparisons,
        rules=rules,
        segments=order_segments(found),
        better=better_directions(found),
        explained=explained_metrics(found.measured),
        meanings={str(one): describe_subject(one, words) for one in _subjects(found, checks)},
    )


def _subjects(found: Findings, checks: Sequence[OffPolicyCheck]) -> set[Subject]:
    """Return the subjects of verdicts, figures and checks."""
    measured = chain(found.measured, *found.others.values())
    of_verdicts = (one.subject for one in found.verdicts)
    return {*of_verdicts, *(one.subject for one in measured), *(one.subject for one in checks)}


def better_directions(found: Findings) -> dict[str, str]:
    """Return the better direction by metric; empty for exposure and mix, which are a matter of policy."""
    return {
        str(one.subject): ("less" if one.subject.task in found.costs else "more")
        if one.subject.metric in _OF_A_TASK
        else _BETTER.get(one.subject.metric, "")
        for one in (*found.measured, *chain.from_iterable(found.others.values()))
    }


def order_segments(found: Findings) -> list[SegmentFigures]:
    """Return the figures by segment: harmed segments first, then by loss of observed utility."""
    rows: dict[Segment, list[Measured]] = {}
    for one in found.measured:
        if one.segment != ALL:
            rows.setdefault(one.segment, []).append(one)
    segments = [
        SegmentFigures(
            name,
            tuple(v for v in found.verdicts if v.segment == name and v.harms_segment),
            next((m.relative for m in each if m.subject.metric == MetricKind.OBSERVED_UTILITY), None),
            tuple(each),
        )
        for name, each in rows.items()
    ]
    return sorted(segments, key=_worst_first)


def _worst_first(segment: SegmentFigures) -> tuple[bool, float]:
    change = math.nan if segment.change is None else segment.change.value
    return (not segment.harmed, math.inf if math.isnan(change) else change)


def explained_metrics(measured: Sequence[Measured]) -> list[str]:
    """Return explanations of the kinds of metrics on the page."""
    kinds = {one.subject.metric for one in measured if one.policy is not None}
    return [words for kind, words in _MEANINGS.items() if kind in kinds]
