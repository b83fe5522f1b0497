"""Reliability pictures in the runs of the steps that can draw them, and the dossier that shows them.

::

    calibrate   reliability.svg            before and after, on the task's test days
                reliability_segments.svg   the same in segments
    train_trunk training.svg               how the tasks of a shared trunk were learned
    release     reliability/<task>.svg     the joint of a conditional task, on the release's test days
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.arrays import Floats
from tasks.calibration.reliability_figure import reliability_figure, segments_figure
from tasks.evaluation.observations import Observations
from tasks.stores.manifest import Manifest, Role
from tasks.stores.releases import release_manifest
from tasks.stores.runs import StepRun
from tasks.stores.workspace import Workspace
from tasks.training.trunk_step import TRAINING

RELIABILITY: Final = "reliability.svg"
SEGMENTS: Final = "reliability_segments.svg"
JOINTS: Final = "reliability"


def joint_picture(task: str) -> str:
    """Name the picture of a task's joint probability."""
    return f"{JOINTS}/{task}.svg"


def draw_calibration(run: StepRun, task: str, raw: Floats, observations: Observations) -> None:
    """Draw what calibration did to the rows [n] of a task's test days; nothing where there is no row.

    Parameters
    ----------
    raw : [n] predictions before calibration; those of ``observations`` are calibrated.
    """
    if not len(np.asarray(observations.outcomes)):
        return
    run.text(RELIABILITY, reliability_figure(raw, observations, title=task).to_svg())
    by_segment = segments_figure(raw, observations, title=task)
    if by_segment is not None:
        run.text(SEGMENTS, by_segment.to_svg())


def draw_joint(run: StepRun, task: str, outcomes: Floats, predictions: Floats, users: npt.ArrayLike) -> None:
    """Draw a joint probability [n] against what is known; rows of which nothing is (NaN) are left out."""
    known = Observations(outcomes, predictions, users, users).select_known()
    if len(np.asarray(known.outcomes)):
        run.text(joint_picture(task), reliability_figure(None, known, title=task).to_svg())


def gather_pictures(workspace: Workspace, manifest: Manifest, *, release_run: str) -> dict[str, bytes]:
    """Return the pictures of a release's calibrators, joints and shared trunks, by caption.

    A refitted part was measured in the release that it repeats: its pictures are those of that one.
    """
    registry, tested = workspace.store.registry, manifest.find(Role.TESTED)
    repeated = () if tested is None else release_manifest(workspace, tested.version).parts
    joints = workspace.store.runs.read_pictures(release_run, JOINTS)
    pictures: dict[str, bytes | None] = {}
    for pinned in (*manifest.parts, *repeated):
        if pinned.role is Role.CALIBRATOR:
            drawn = workspace.store.runs.read_pictures(registry.run_id(pinned))
            name = f"{pinned.task}, calibrator {pinned.version}"
            pictures[name] = drawn.get(RELIABILITY)
            pictures[f"{name}, by segment"] = drawn.get(SEGMENTS)
            pictures[f"{pinned.task}, joint along its chain"] = joints.get(joint_picture(str(pinned.task)))
        elif pinned.role is Role.TRUNK:
            drawn = workspace.store.runs.read_pictures(registry.run_id(pinned))
            pictures[f"{pinned.name}, version {pinned.version}"] = drawn.get(TRAINING)
    return {caption: picture for caption, picture in pictures.items() if picture is not None}
