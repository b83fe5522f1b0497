"""What a simulation cannot tell, and what is odd about what it tells, in sentences."""

from collections.abc import Iterator, Sequence

from tasks.contracts.metrics import MetricKind
from tasks.evaluation.replay_evidence import Measured
from tasks.replay.slates import TestSlice
from tasks.stores.releases import resolve_tested_release
from tasks.stores.workspace import Workspace


def stood_in(workspace: Workspace, release: int) -> Iterator[str]:
    """Say which release's models were rehearsed, where they are not the release's own."""
    tested = resolve_tested_release(workspace, release)
    if tested != release:
        yield (
            f"Release {release} serves refitted models, which have learned from these days. Release {tested} "
            "stands in for it, with models of the same recipes that have not."
        )


def notes_of(test: TestSlice, measured: Sequence[Measured]) -> Iterator[str]:
    """Say what the data cannot tell, each reason once, and which component has nothing or all to say."""
    if not test.complete:
        yield (
            "Only what was shown is logged: this replay reorders it. It says nothing of candidates "
            "that were never shown, and exposure, mix and coverage cannot be told."
        )
    if not test.log.positions_logged:
        yield "No position is logged: nothing is known of how much each place on the page was looked at."
    reasons: dict[str, list[str]] = {}
    for one in measured:
        if one.policy is None and one.reason:
            reasons.setdefault(one.reason, []).append(one.metric)
    for reason, metrics in reasons.items():
        yield f"{', '.join(dict.fromkeys(metrics))}: {reason}."
    for one in measured:
        share = one.policy.value if one.policy and one.kind is MetricKind.COMPONENT_SHARE else None
        if share is not None and not 0.01 <= abs(share) <= 0.9:
            how = "nearly nothing" if abs(share) < 0.01 else "nearly all"
            yield (
                f"{one.subject} makes {share:.1%} of the utility's variance within a request: "
                f"it decides {how}."
            )
