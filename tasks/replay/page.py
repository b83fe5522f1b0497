"""The simulation report: a release's slates compared with its baseline, on one page.

Notes explain what the simulation cannot measure.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from tasks.contracts.metrics import MetricKind
from tasks.errors import list_names
from tasks.evaluation.evidence import Measured, SlateRule
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import WORST_FIRST, Estimate, Verdict
from tasks.replay.decided_slice import DecidedSlice
from tasks.replay.evaluate import MOST_SHARES, Findings
from tasks.replay.log import CandidateLog, PolicySlates
from tasks.replay.metrics import REORDERING, examined_by
from tasks.replay.slates import TestSlice
from tasks.reports.charts import draw_rails
from tasks.reports.phrases import Vocabulary, describe_subject, find_primary, phrase_verdict, say_outcomes
from tasks.reports.render import render
from tasks.stores.workspace import Workspace

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
class SegmentFigures:
    """One segment: the bounds broken there, its change of observed utility, and every metric."""

    name: Segment
    harmed: tuple[Verdict, ...]
    change: Estimate | None
    rows: tuple[Measured, ...]


def simulation_page(
    title: str,
    words: Vocabulary,
    *,
    found: Findings,
    facts: Sequence[str] = (),
    rules: Sequence[SlateRule] = (),
    notes: Sequence[str] = (),
) -> str:
    """Render the report as one self-contained page.

    Parameters
    ----------
    words : vocabulary of the surface's contracts.
    found : verdicts, every metric on the whole and by segment, and further policies with the same baseline.
    facts : the facts of the comparison.
    rules : how often the release's slates meet each slate rule.
    notes : what these data cannot measure.
    """
    comparisons = {"Policy and baseline": [m for m in found.measured if m.segment == ALL]}
    comparisons |= {f"{name} and baseline": list(rows) for name, rows in found.others.items()}
    worst = min(found.verdicts, key=lambda one: WORST_FIRST.index(one.outcome), default=None)
    kinds = {one.subject.metric for one in found.measured if one.policy is not None}
    return render(
        "simulation.html.j2",
        title=title,
        facts=[say_outcomes(found.verdicts), *facts],
        worst=worst,
        primary=[phrase_verdict(verdict, words) for verdict in find_primary(found.verdicts, words)],
        rails=draw_rails(found.verdicts, words),
        beside=words.baseline,
        notes=notes,
        harmed=[verdict for verdict in found.verdicts if verdict.harms_segment],
        verdicts=sorted(found.verdicts, key=lambda verdict: not verdict.harms_segment),
        checks=found.checks,
        by_day=[m for m in found.measured if m.by_day and m.subject.metric in _BY_DAY],
        comparisons=comparisons,
        rules=rules,
        segments=order_segments(found),
        better=better_directions(found),
        explained=[words for kind, words in _MEANINGS.items() if kind in kinds],
        meanings={str(one): describe_subject(one, words) for one in _subjects(found)},
    )


def _subjects(found: Findings) -> set[Subject]:
    """Return the subjects of verdicts, figures and checks."""
    measured = chain(found.measured, *found.others.values())
    of_verdicts = (one.subject for one in found.verdicts)
    return {*of_verdicts, *(one.subject for one in measured), *(one.subject for one in found.checks)}


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


_ALIKE: Final = 0.01
"""Relative difference in exposure that a note ignores."""


def stood_in(workspace: Workspace, release: int) -> Iterator[str]:
    """Yield a note if another release's models were replayed instead of the release's own."""
    tested = workspace.releases.tested_version(release)
    if tested != release:
        yield (
            f"Release {release} serves refitted models, which were trained on these days. Release {tested} "
            "is replayed instead, with models of the same recipes that were not."
        )


def other_slate(pinned: str, in_force: str, policies: Collection[str]) -> Iterator[str]:
    """Yield a note if further policies use other slate rules than the release.

    Parameters
    ----------
    pinned, in_force : digest of the release's slate policy, and of the surface's.
    policies : names of the further policies.

    Examples
    --------
    >>> list(other_slate("3f", "3f", ["bold.yaml"])), list(other_slate("3f", "a0", []))
    ([], [])
    """
    if policies and pinned != in_force:
        yield (
            f"slate.yaml is another than the release pins: {', '.join(policies)} fill slates by the one in "
            "force, so what sets them apart from the release is of both files."
        )


def note_examined(log: CandidateLog, policy: PolicySlates, against: PolicySlates) -> Iterator[str]:
    """Yield a note if slates of two policies differ in total exposure, which no rate shows."""
    candidate, reference = (float(examined_by(log, slates).sum()) for slates in (policy, against))
    if reference and abs(candidate / reference - 1) > _ALIKE:
        yield (
            f"The slates of {policy.name} are examined {candidate / reference - 1:+.1%} against those of "
            f"{against.name}, as they are longer or shorter: rates and utilities are per examined "
            "impression, and totals per request change with it."
        )


def notes_of(test: TestSlice | DecidedSlice, found: Findings, *, against_log: bool) -> Iterator[str]:
    """Yield what these data cannot measure, each reason once."""
    if against_log:
        yield (
            "The baseline is the logged order itself: the standard error of a change is about three times "
            "that against a champion."
        )
    yield from _of_the_utility(found)
    yield from _of_the_log(test)
    yield from _unmeasured(found.measured)


def _of_the_utility(found: Findings) -> Iterator[str]:
    for task, events in found.believed.items():
        yield f"observed_utility: {task} enters by predictions, since {events} events were seen in the slots."
    if found.left_out:
        yield (
            f"observed_utility: {', '.join(found.left_out)} is left out: an answer is no outcome of an "
            "impression, and an outcome that is too rare and not predicted cannot be added."
        )


def _of_the_log(test: TestSlice | DecidedSlice) -> Iterator[str]:
    if not test.complete:
        yield (
            "Reordering only: the log holds what was shown and not what else could have been. A new policy "
            "shows other items, so every figure of the replay is inconclusive. Log the candidates, or "
            "declare shown_is_all: true where every candidate was shown."
        )
    if not test.log.positions_logged:
        yield "No position is logged: the share of impressions examined at each position is unknown."


def _unmeasured(measured: Sequence[Measured]) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for one in measured:
        if one.reason not in {"", REORDERING} and one.segment == ALL:
            name = f"share of {one.subject.column}" if one.subject.value else one.subject.name
            reasons.setdefault(one.reason, []).append(name)
    for reason, metrics in reasons.items():
        yield f"{list_names(dict.fromkeys(metrics))}: {reason}."
