"""The release step: pinned parts and policies become one registered, closed version.

::

    parts of this retrain, parts that the champion lends, the examination
    curve where the surface has one, both policies                           pinned by version and sha256
      -> fetched, every byte compared -> joints fitted -> figures on the test days, a slow
         task's joint with factors from before its own
      -> <surface>.release, a pyfunc that brings its code and weights -> alias challenger

The same inputs make the same bytes, and the same bytes are registered once: killed anywhere and run again,
the step ends in the same version, linked and aliased.
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
from tasks.release.parts import Pins, pin_examination, pin_tasks
from tasks.release.refit import Refit
from tasks.release.trained import TaskResult, split_results
from tasks.stores.aliases import CHAMPION
from tasks.stores.parts import Part
from tasks.stores.policies import refuse_silent_changes
from tasks.stores.registry import Registry
from tasks.stores.releases import COMPONENT, Releases
from tasks.stores.steps import DoneModel
from tasks.stores.workspace import Workspace
from tasks.training import examination
from tasks.training.slices import DaySlice, plan_slices

CHALLENGER: Final = "challenger"


@dataclass(frozen=True)
class ReleaseResult:
    """The registered version, its digests and pins, and each task's figures on its test days.

    ``unchanged``: it was made in its own time and a run about the past found it: nothing about it changes.
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
    as_of : the instant at which the world is looked at.
    snapshot : id of the published label snapshot that the parts were made from.
    parts : of each task what the retrain ended with; the champion lends the parts of a task that could not be
        trained, and of those that are not named.
    backfill : a backfill asked for it; such a release is marked and moves no alias.
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
    """Make the tested release; where refits are served in its place, make the one that serves them too."""
    done = RELEASE.run(wanted, parent_run=parent_run)
    if served == wanted.pins:
        return done
    _completed(registry, done, wanted.workspace.surface)
    refitted = replace(wanted, pins=served, tested=Tested(done.part, wanted.pins))
    return RELEASE.run(refitted, parent_run=parent_run)


def _settled(releases: Releases, done: DoneModel[ReleaseEvidence], *, moves: bool) -> ReleaseResult:
    """Complete what a killed step may have left undone, alias included, and return the result."""
    _completed(releases.registry, done, releases.workspace.surface)
    part, evidence = done.part, done.evidence
    if moves and not evidence.backfilled:
        _challenge(releases, part)
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
    """Give a release its description, and its parts their links."""
    part, evidence = done.part, done.evidence
    if not registry.client.get_model_version(part.name, str(part.version)).description:
        registry.describe(part, evidence.description)
    _link_back(registry, part, surface, evidence.pins)


def _link_back(registry: Registry, part: Part, surface: str, pins: Mapping[str, int]) -> None:
    """Let every pinned part say which releases pin it."""
    for name, version in pins.items():
        if name == part.name:  # the tested release keeps its own description
            continue
        releases = registry.having(part.name, {f"{COMPONENT}{name}": str(version)})
        registry.describe(registry.part(name, version), describe_part(surface, releases))


def _refuse_overlap(test: DaySlice, pins: Pins) -> None:
    """Refuse parts that learned from a day on which the decision will be replayed, or from a later one."""
    late = [part for pair in pins.values() for part in pair if part.trained_until() >= test.first]
    if late:
        named = ", ".join(f"{part.name} version {part.version} to {part.trained_until()}" for part in late)
        raise GateRefused(
            f"The release would be tested on {test.first} to {test.last}, days that its parts have seen: "
            f"{named}. Train and calibrate them as of this release's own instant."
        )


def _challenge(releases: Releases, part: Part) -> None:
    """Let ``challenger`` mean this release, unless it means one as of a later instant."""
    held = releases.find(CHALLENGER)
    if held is None or releases.manifest(part.version).as_of >= releases.manifest(held).as_of:
        releases.registry.set_alias(part, CHALLENGER)


def _before_champion(releases: Releases, as_of: datetime) -> bool:
    held = releases.find(CHAMPION)
    return held is not None and as_of < releases.manifest(held).as_of
