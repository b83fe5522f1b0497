"""The release step: turns pinned parts and policies into one registered, immutable version.

::

    parts of this retrain, parts reused from the champion, the examination
    curve if the surface has one, both policies                              pinned by version and sha256
      -> fetched and verified -> joints fitted -> figures on the test days, a slow
         task's joint with factor models from before them
      -> <surface>.release, a pyfunc with its own code and weights -> alias challenger

The same inputs give the same bytes, which are registered once. A step that is killed and run again ends in
the same version, with its links and alias.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from tasks.errors import GateRefused
from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.labels.store import LabelStore
from tasks.release.assemble import RELEASE, Tested, Wanted
from tasks.release.description import describe_part
from tasks.release.factor_models import FactorModelBuilder
from tasks.release.parts import Pins, TaskResult, pin_examination, pin_tasks, split_results
from tasks.release.refit import Refit
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import Part
from tasks.stores.registry import Registry
from tasks.stores.releases import COMPONENT, Releases, refuse_silent_changes
from tasks.stores.steps import DoneModel
from tasks.stores.workspace import Workspace
from tasks.training import examination
from tasks.training.slices import DaySlice, plan_slices

CHALLENGER: Final = "challenger"


@dataclass(frozen=True)
class ReleaseResult:
    """The registered version, its digests and pins, and each task's figures on its test days.

    ``unchanged``: a backfill found a release that was made at its time, and changes nothing.
    """

    release: str
    version: int
    sha256: str
    manifest_sha256: str
    run_id: str
    reused: bool
    backfilled: bool
    unchanged: bool
    pins: dict[str, int]
    metrics: dict[str, dict[str, Any]]


def run(
    workspace: Workspace,
    *,
    as_of: datetime,
    snapshot: str,
    parts: Sequence[TaskResult],
    backfill: bool = False,
    parent_run: str | None = None,
) -> ReleaseResult:
    """Make a release.

    Parameters
    ----------
    as_of : the instant up to which data are used.
    snapshot : id of the published label snapshot that the parts were trained on.
    parts : the retrain's result for each task. Untrained or missing tasks reuse the champion's parts.
    backfill : whether this is a backfill, whose release is marked and gets no alias.
    """
    registry = workspace.store.registry
    workspace.aliases.begin()
    labels = LabelStore(workspace.store, workspace.surface).published_snapshot(snapshot, as_of=as_of)
    refuse_silent_changes(workspace, registry)
    slices = plan_slices(workspace.contracts, labels.mature_by(), labels.dates())
    trained, kept = split_results(parts)
    pins = pin_tasks(workspace, registry, trained, as_of=as_of)
    _refuse_overlap(slices.test, pins)
    measured_examination = examination.run(workspace, snapshot=snapshot, parent_run=parent_run)
    examined = pin_examination(registry, measured_examination)
    served, unrepeated = Refit(workspace, as_of, snapshot, parent_run).served(pins, trained)
    factor_models = FactorModelBuilder(workspace, labels, slices, parent_run).of(pins)
    backfilled = backfill or _before_champion(workspace.releases, as_of)
    wanted = Wanted(
        workspace, labels, slices, pins, examined, as_of, backfilled, kept, unrepeated, factor_models
    )
    done = _made(registry, wanted, served, parent_run=parent_run)
    return _settled(workspace.releases, done, moves=not backfilled)


def _made(
    registry: Registry, wanted: Wanted, served: Pins, *, parent_run: str | None
) -> DoneModel[ReleaseEvidence]:
    """Make the tested release; if refits are served, make the release that serves them too."""
    done = RELEASE.run(wanted, parent_run=parent_run)
    if served == wanted.pins:
        return done
    _completed(registry, done, wanted.workspace.surface)
    refitted = replace(wanted, pins=served, tested=Tested(done.part, wanted.pins))
    return RELEASE.run(refitted, parent_run=parent_run)


def _settled(releases: Releases, done: DoneModel[ReleaseEvidence], *, moves: bool) -> ReleaseResult:
    """Complete what a killed run may have left undone, including the alias; return the result."""
    _completed(releases.registry, done, releases.workspace.surface)
    part, evidence = done.part, done.evidence
    if moves and not evidence.backfilled:
        held = releases.find(CHALLENGER)  # it stays on a release of a later as-of
        if held is None or releases.manifest(part.version).as_of >= releases.manifest(held).as_of:
            releases.registry.set_alias(part, CHALLENGER)
    return ReleaseResult(
        release=part.name,
        version=part.version,
        sha256=part.sha256,
        manifest_sha256=evidence.manifest_sha256,
        run_id=done.run_id,
        reused=done.reused,
        backfilled=evidence.backfilled,
        unchanged=done.reused and not moves and not evidence.backfilled,
        pins=dict(evidence.pins),
        metrics=evidence.metrics(),
    )


def _completed(registry: Registry, done: DoneModel[ReleaseEvidence], surface: str) -> None:
    """Add the release's description, and links from its parts."""
    part, evidence = done.part, done.evidence
    if not registry.client.get_model_version(part.name, str(part.version)).description:
        registry.describe(part, evidence.description)
    _link_back(registry, part, surface, evidence.pins)


def _link_back(registry: Registry, part: Part, surface: str, pins: Mapping[str, int]) -> None:
    """Describe on every pinned part which releases pin it."""
    for name, version in pins.items():
        if name == part.name:  # the tested release keeps its own description
            continue
        releases = registry.having(part.name, {f"{COMPONENT}{name}": str(version)})
        registry.describe(registry.part(name, version), describe_part(surface, releases))


def _refuse_overlap(test: DaySlice, pins: Pins) -> None:
    """Refuse parts that learned from a test day or from a later day."""
    late = [part for pair in pins.values() for part in pair if part.trained_until() >= test.first]
    if late:
        named = ", ".join(f"{part.name} version {part.version} to {part.trained_until()}" for part in late)
        raise GateRefused(
            f"The release would be tested on {test.first} to {test.last}, days that its parts have seen: "
            f"{named}. Train and calibrate them as of this release's own instant."
        )


def _before_champion(releases: Releases, as_of: datetime) -> bool:
    held = releases.find(CHAMPION)
    return held is not None and as_of < releases.manifest(held).as_of
