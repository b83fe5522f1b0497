"""The small feed's release: every task trained and calibrated, once a home, and pinned."""

import functools
from collections.abc import Sequence
from typing import Any

from tasks.steps import calibrate, release, train
from tasks.steps.context import Context
from tasks.steps.release import ReleaseResult
from tests.steps.small_feed import AS_OF

Feed = tuple[Context, str]


@functools.cache
def fitted(context: Context, snapshot: str) -> tuple[dict[str, Any], ...]:
    """Train and calibrate every task of a labelled feed; return what a release pins."""
    common = {"as_of": AS_OF, "snapshot": snapshot}
    parts = []
    for task in context.contracts.tasks.tasks:
        model = train.run(context, task=task, **common)
        made = calibrate.run(context, task=task, **common, model_version=model.version)
        parts.append({"task": task, "model_version": model.version, "calibrator_version": made.version})
    return tuple(parts)


def released(feed: Feed, *, parts: Sequence[dict[str, Any]] = (), backfill: bool = False) -> ReleaseResult:
    """Release a labelled feed; without parts, every task of it."""
    context, snapshot = feed
    pinned = parts or fitted(context, snapshot)
    return release.run(context, as_of=AS_OF, snapshot=snapshot, parts=pinned, backfill=backfill)
