"""The small feed's release: every task trained and calibrated, once a home, and pinned."""

import functools
from collections.abc import Sequence

from tasks.calibration import step as calibrate
from tasks.release import step as release
from tasks.release.parts import Trained
from tasks.release.step import ReleaseResult
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tests.feeds.small_feed import AS_OF

Feed = tuple[Workspace, str]


@functools.cache
def fitted(workspace: Workspace, snapshot: str) -> tuple[Trained, ...]:
    """Train and calibrate every task of a labelled feed; return what a release pins."""
    parts = []
    for task in workspace.contracts.tasks.tasks:
        model = train.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot)
        calibrator = calibrate.run(
            workspace, task=task, as_of=AS_OF, snapshot=snapshot, model_version=model.version
        )
        parts.append(Trained(task, model.version, calibrator.version))
    return tuple(parts)


def released(feed: Feed, *, parts: Sequence[Trained] = (), backfill: bool = False) -> ReleaseResult:
    """Release a labelled feed; without parts, every task of it."""
    workspace, snapshot = feed
    pinned = parts or fitted(workspace, snapshot)
    return release.run(workspace, as_of=AS_OF, snapshot=snapshot, parts=pinned, backfill=backfill)
