"""Where the tasks of a release pull apart, in words."""

from collections.abc import Iterator

from tasks.evaluation.conflicts import ConflictEvidence
from tasks.reports.numbers import format_estimate


def describe_overlaps(conflicts: ConflictEvidence) -> Iterator[str]:
    """Say which tasks' best rows are a cost's worst more often than by chance, by all of the interval."""
    for one in conflicts.at_top:
        if one.share.known and one.share.low > one.expected:
            yield (
                f"{one.task}: {format_estimate(one.share)} of its top tenth is in {one.cost}'s, "
                f"by chance {one.expected:.2g}"
            )
