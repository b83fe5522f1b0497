"""Where the tasks of a release pull apart: the pairs as evidence, and what they show in words."""

from collections.abc import Iterator

from tasks.evaluation.conflicts import ConflictReport
from tasks.evaluation.release_evidence import ConflictEvidence, PairEvidence
from tasks.reports.numbers import format_estimate


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


def describe_overlaps(conflicts: ConflictEvidence) -> Iterator[str]:
    """Say which tasks' best rows are a cost's worst more often than by chance, by all of the interval."""
    for one in conflicts.at_top:
        if one.share.known and one.share.low > one.expected:
            yield (
                f"{one.task}: {format_estimate(one.share)} of its top tenth is in {one.cost}'s, "
                f"by chance {one.expected:.2g}"
            )
