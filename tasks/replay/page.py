"""The simulation report: what a release does to its slates, beside its baseline, on one page."""

from collections.abc import Mapping, Sequence
from typing import Final

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import Measured
from tasks.evaluation.segments import ALL
from tasks.evaluation.verdicts import Verdict
from tasks.reports.render import render

_BY_DAY: Final = frozenset({MetricKind.OBSERVED_UTILITY, MetricKind.RATE})


def simulation_page(
    title: str,
    facts: Sequence[str],
    *,
    verdicts: Sequence[Verdict],
    measured: Sequence[Measured],
    others: Mapping[str, Sequence[Measured]],
    notes: Sequence[str],
) -> str:
    """Write the report as one self-contained page.

    Parameters
    ----------
    verdicts : of the guardrails.
    measured : every metric, on the whole and in segments.
    others : by name, further policies measured against the release under test.
    notes : what the data cannot tell.
    """
    comparisons = {"Policy and baseline": [m for m in measured if m.segment == ALL]}
    comparisons |= {f"{name} against the release": list(rows) for name, rows in others.items()}
    return render(
        "simulation.html.j2",
        title=title,
        facts=facts,
        notes=notes,
        verdicts=verdicts,
        by_day=[m for m in measured if m.by_day and m.kind in _BY_DAY],
        comparisons=comparisons,
        segments=[m for m in measured if m.segment != ALL],
    )
