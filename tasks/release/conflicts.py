"""Where the tasks of a release pull apart: a heat map for the dossier, and what it shows in words.

::

             click   like   hide          above the diagonal: predictions
    click      .      .4     .5           below it: outcomes, where both are known
    like      .3       .    -.1
    hide      .0     -.0      .           rank correlations, Spearman's rho
"""

import math
from collections.abc import Iterator
from html import escape

from tasks.evaluation.conflicts import ConflictReport
from tasks.evaluation.evidence import ConflictEvidence, PairEvidence
from tasks.reports.numbers import format_estimate
from tasks.reports.page import listed

_WIDE, _HIGH, _LEFT, _TOP = 64, 32, 190, 120


def conflict_evidence(report: ConflictReport) -> ConflictEvidence:
    """Return a report as the release's evidence holds it."""
    size = len(report.tasks)
    pairs = tuple(
        PairEvidence(
            tasks=(report.tasks[i], report.tasks[j]),
            predictions=float(report.predictions[i, j]),
            outcomes=float(report.outcomes[i, j]),
            rows=int(report.rows[i, j]),
        )
        for i in range(size)
        for j in range(i + 1, size)
    )
    return ConflictEvidence(tasks=report.tasks, pairs=pairs, at_top=report.at_top)


def conflicts_section(found: ConflictEvidence | None) -> str:
    """Draw the heat map with its words for the dossier, as HTML."""
    if not found or len(found.tasks) < 2:
        return ""
    words = listed("Top tenths that are a cost's top tenth more often than by chance", list(in_words(found)))
    return (
        f"<h2>How tasks go together</h2><figure>{_heat_map(found)}<figcaption>Spearman's rank correlation "
        "of each pair on the shared test slice: above the diagonal of the predictions, below it of the "
        "outcomes where both are known; blue together, red apart</figcaption></figure>" + words
    )


def in_words(found: ConflictEvidence) -> Iterator[str]:
    """Say which tasks' best rows are a cost's worst more often than by chance, by all of the interval."""
    for one in found.at_top:
        if one.share.known and one.share.low > one.expected:
            yield (
                f"{one.task}: {format_estimate(one.share)} of its top tenth is in {one.cost}'s, "
                f"by chance {one.expected:.2g}"
            )


def _heat_map(found: ConflictEvidence) -> str:
    tasks = found.tasks
    width, height = _LEFT + len(tasks) * _WIDE + 90, _TOP + len(tasks) * _HIGH + 8
    texts = "".join(_names(i, escape(task)) for i, task in enumerate(tasks))
    return (
        f"<svg viewBox='0 0 {width} {height}' width={width} font-size=12 fill=currentColor "
        f"font-family=system-ui role=img aria-label='rank correlations'>{texts}{''.join(_cells(found))}</svg>"
    )


def _names(i: int, task: str) -> str:
    """Write a task beside its row and, slanted, above its column."""
    x, y = _LEFT + (i + 0.5) * _WIDE + 4, _TOP + (i + 0.5) * _HIGH + 4
    return (
        f"<text x={_LEFT - 8} y={y} text-anchor=end>{task}</text>"
        f"<text transform='translate({x} {_TOP - 8}) rotate(-40)'>{task}</text>"
    )


def _cells(found: ConflictEvidence) -> Iterator[str]:
    place = {task: i for i, task in enumerate(found.tasks)}
    for pair in found.pairs:
        first, second = sorted(place[task] for task in pair.tasks)
        yield _cell(first, second, pair.predictions)
        yield _cell(second, first, pair.outcomes)


def _cell(row: int, column: int, rho: float) -> str:
    """Draw one cell: blue together, red apart, the stronger the deeper."""
    x, y = _LEFT + column * _WIDE, _TOP + row * _HIGH
    said = "?" if math.isnan(rho) else f"{rho:z.2f}"
    colour = "#888888" if math.isnan(rho) else "#1565c0" if rho >= 0 else "#c62828"
    depth = 0.15 if math.isnan(rho) else min(0.75, abs(rho))
    return (
        f"<rect x={x} y={y} width={_WIDE - 2} height={_HIGH - 2} fill='{colour}' fill-opacity={depth:.2f} />"
        f"<text x={x + _WIDE / 2 - 1} y={y + _HIGH / 2 + 4} text-anchor=middle>{said}</text>"
    )
