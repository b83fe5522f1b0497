"""The columns of impressions that a surface's contracts name."""

from tasks.contracts import Contracts


def named_columns(contracts: Contracts) -> set[str]:
    surface, utility, slate = contracts.surface, contracts.utility, contracts.slate
    tests = [rule.keep_when or rule.drop_when for rule in utility.hard_constraints]
    first = surface.gates.decision.first
    return {
        *surface.features.names,
        *surface.values,
        *(segment.column for segment in surface.segments),
        *(test.column for test in tests if test),
        *slate.max_per,
        *([slate.diversity.by] if slate.diversity else []),
        *([] if first == "logged" else [first.column]),
    }


def matched_columns(contracts: Contracts) -> set[str]:
    """Return the columns by which events are matched with impressions."""
    return {column for task in contracts.tasks.tasks.values() if task.rule for column in task.rule.match}
