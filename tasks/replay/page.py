"""The simulation report: what a release does to its slates, beside its baseline, on one page."""

from collections.abc import Sequence
from typing import Final

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import SlateRule
from tasks.evaluation.segments import ALL
from tasks.replay.findings import Findings
from tasks.reports.render import render

_BY_DAY: Final = frozenset({MetricKind.OBSERVED_UTILITY, MetricKind.RATE})


def simulation_page(
    title: str,
    facts: Sequence[str],
    *,
    found: Findings,
    rules: Sequence[SlateRule],
    notes: Sequence[str],
) -> str:
    """Write the report as one self-contained page.

    Parameters
    ----------
    found : verdicts, every metric on the whole and in segments, further policies against the release.
    rules : how often the release's slates meet each slate rule.
    notes : what the data cannot tell.
    """
    comparisons = {"Policy and baseline": [m for m in found.measured if m.segment == ALL]}
    comparisons |= {f"{name} against the release": list(rows) for name, rows in found.others.items()}
    return render(
        "simulation.html.j2",
        title=title,
        facts=facts,
        notes=notes,
        verdicts=found.verdicts,
        by_day=[m for m in found.measured if m.by_day and m.kind in _BY_DAY],
        comparisons=comparisons,
        rules=rules,
        segments=[m for m in found.measured if m.segment != ALL],
    )
