"""The candidates of some days read at once, which is what reading them in blocks has to give."""

from datetime import date

from tasks.replay.logged_candidates import labelled_candidates
from tasks.replay.slates import TestSlice, release_examination
from tasks.stores.manifest import Manifest
from tasks.stores.workspace import Workspace


def whole_slice(workspace: Workspace, manifest: Manifest, days: tuple[date, date]) -> TestSlice:
    """Read some days, the last one included, as they are read for a release."""
    first, last = days
    frame = labelled_candidates(workspace, snapshot=manifest.snapshot.id, first_day=first, last_day=last)
    return TestSlice(workspace, frame, complete=True, examination=release_examination(workspace, manifest))
