"""The release step: pinned parts and policies become one registered, closed version.

::

    parts of this retrain, parts that the champion lends, both policies      pinned by version and sha256
      -> fetched, every byte compared -> joints fitted -> figures on the test days
      -> <surface>.release, a pyfunc that brings its code and weights -> alias challenger

The same inputs make the same bytes, and the same bytes are registered once: killed anywhere and run again,
the step ends in the same version, linked and aliased.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from tasks.contracts import digest
from tasks.errors import DataError, GateRefused
from tasks.release.description import describe, describe_part
from tasks.release.figures import TaskFigures
from tasks.release.manifest import MANIFEST, Manifest, PinnedSnapshot, sha256
from tasks.serving.packaging import ROOT, PackagedRelease, package_release
from tasks.serving.staging import code_digest, requirements
from tasks.steps.context import Context, format_instant, parse_instant
from tasks.steps.release_parts import (
    Pins,
    TrainedPart,
    pin_tasks,
    refuse_silent_changes,
    register_policies,
    release_files,
)
from tasks.steps.release_rehearsal import Rehearsal
from tasks.steps.release_view import BACKFILLED, COMPONENT, FILE, SNAPSHOT, release_name
from tasks.stores.label_store import LabelStore
from tasks.stores.locks import alone
from tasks.stores.parts import Part
from tasks.stores.registry import Registry
from tasks.stores.runs import INPUTS, StepRun, finish, read_evidence, step_run
from tasks.stores.snapshot import Snapshot
from tasks.training.slices import DaySlice, ReleaseSlices, plan_slices

STEP: Final = "release"
RECIPE: Final = 1
"""Raised whenever the same parts would make another release."""

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"


@dataclass(frozen=True)
class ReleaseResult:
    """The registered version, its digests and pins, and each task's figures on its test days.

    ``stands``: it was made in its own time and a run about the past found it: nothing about it changes.
    """

    release: str
    version: int
    sha256: str
    manifest_sha256: str
    run_id: str
    reused: bool
    backfilled: bool
    stands: bool
    pins: dict[str, int]
    metrics: dict[str, dict[str, Any]]


def run(
    context: Context,
    *,
    as_of: datetime,
    snapshot: str,
    parts: Sequence[Mapping[str, Any]],
    backfill: bool = False,
    parent_run: str | None = None,
) -> ReleaseResult:
    """Make a release.

    Parameters
    ----------
    as_of : the instant at which the world is looked at.
    snapshot : id of the published label snapshot that the parts were made from.
    parts : of each trained task ``{task, model_version, calibrator_version}``; the champion lends the others.
    backfill : a backfill asked for it; such a release is marked and moves no alias.

    Raises
    ------
    ContractError
        A policy's content changed without its version, or a task has no model.
    DataError
        The snapshot is unknown or shows the labels as of another instant.
    GateRefused
        The labels were not published, or a part learned from the days that the release is tested on.
    StoreError
        A part holds other bytes than were registered.
    """
    registry, store = Registry(context.home), LabelStore(context.home, context.surface)
    labels = _published(store, snapshot, as_of)
    refuse_silent_changes(context, registry)
    slices = plan_slices(context.contracts, as_of, _days(labels))
    pins = pin_tasks(context, registry, [TrainedPart.of(part) for part in parts], as_of=as_of)
    _refuse_overlap(slices.test, pins)
    inputs = _inputs(context, as_of, labels, pins)
    late = backfill or _before_champion(registry, context.surface, as_of)
    with alone(context.home, f"{context.surface}.release", doing=f"making a release of {context.surface}"):
        part = registry.find(release_name(context.surface), {INPUTS: inputs})
        reused = part is not None
        if part is None:
            tags = {"as_of": format_instant(as_of), "snapshot": labels.id}
            with step_run(
                context.home, context.surface, step=STEP, inputs=inputs, parent_run=parent_run, tags=tags
            ) as step:
                rehearsal = Rehearsal(context, labels, slices.tasks)
                part = _Making(context, registry, step, rehearsal, slices, pins, as_of, late).release(inputs)
    return _settled(registry, part, reused=reused, moves=not late)


@dataclass(frozen=True)
class _Making:
    """One run of the step, once its inputs are known; the version comes last, so it never lacks anything."""

    context: Context
    registry: Registry
    step: StepRun
    rehearsal: Rehearsal
    slices: ReleaseSlices
    pins: Pins
    as_of: datetime
    backfilled: bool

    def release(self, inputs: str) -> Part:
        files = release_files(self.context, self.registry, self.pins)
        files |= self.rehearsal.joints(files)
        figures = self.rehearsal.figures(files, self.pins)
        signature = self.rehearsal.signature(files, self.slices.test)
        packaged = package_release(files, self._manifest(), signature=signature)
        self._link(packaged.manifest)
        self._log(packaged.manifest, figures)
        return self.registry.register(
            release_name(self.context.surface),
            packaged.files,
            run_id=self.step.run_id,
            tags={INPUTS: inputs, **self._tags(packaged)},
            model_type="release",
            metrics=_flat(figures),
        )

    def _manifest(self) -> Manifest:
        labels = self.rehearsal.snapshot
        policies = register_policies(self.context, self.registry, self.step.run_id)
        return Manifest(
            surface=self.context.surface,
            as_of=self.as_of,
            snapshot=PinnedSnapshot(labels.id, labels.contract_digest, labels.content_digest, labels.as_of),
            contracts=dict(self.context.contracts.digests),
            test=(self.slices.test.first, self.slices.test.last),
            parts=(*(part for pair in self.pins.values() for part in pair), *policies),
            files={},
            code={},
            backfilled=self.backfilled,
        )

    def _tags(self, packaged: PackagedRelease) -> dict[str, object]:
        manifest, contracts = packaged.manifest, self.context.contracts
        return {
            "surface": manifest.surface,
            "as_of": format_instant(self.as_of),
            SNAPSHOT: manifest.snapshot.id,
            "policy_version": contracts.utility.version,
            "slate_policy_version": contracts.slate.version,
            BACKFILLED: str(self.backfilled).lower(),
            **{f"{COMPONENT}{name}": version for name, version in manifest.pins.items()},
            **_own_digests(packaged),
        }

    def _link(self, manifest: Manifest) -> None:
        """Link the run to what it read; parts find their releases by the version's component tags."""
        labels = self.rehearsal.snapshot
        name = f"{manifest.surface} labels"
        self.step.dataset(name, digest=labels.content_digest, source=labels.path, context="test")
        for pinned in manifest.parts:
            part = Part(pinned.name, pinned.version, pinned.sha256)
            self.step.reads_model(self.registry.model_id(part))

    def _log(self, manifest: Manifest, figures: Sequence[TaskFigures]) -> None:
        text = describe(manifest, self.context.contracts.utility, figures)
        self.step.text("release.md", text)
        self.step.json("manifest.json", manifest.to_json())
        self.step.evidence(
            {
                "manifest_sha256": manifest.digest,
                "backfilled": manifest.backfilled,
                "pins": manifest.pins,
                "test": [day.isoformat() for day in manifest.test],
                "tasks": [found.to_json() for found in figures],
                "description": text,
            }
        )


def _settled(registry: Registry, part: Part, *, reused: bool, moves: bool) -> ReleaseResult:
    """Complete what a killed step may have left undone: description, alias, the run's end."""
    run_id = registry.run_id(part)
    evidence = read_evidence(registry.home, run_id)
    if not registry.client.get_model_version(part.name, str(part.version)).description:
        registry.describe(part, evidence["description"])
    _link_back(registry, part, evidence["pins"])
    if moves and not evidence["backfilled"]:
        _challenge(registry, part)
    finish(registry.home, run_id)
    return ReleaseResult(
        release=part.name,
        version=part.version,
        sha256=part.sha256,
        manifest_sha256=evidence["manifest_sha256"],
        run_id=run_id,
        reused=reused,
        backfilled=evidence["backfilled"],
        stands=reused and not moves and not evidence["backfilled"],
        pins=dict(evidence["pins"]),
        metrics={figures["task"]: {"test": figures["headline"]} for figures in evidence["tasks"]},
    )


def _link_back(registry: Registry, part: Part, pins: Mapping[str, int]) -> None:
    """Let every pinned part say which releases pin it."""
    surface = part.name.removesuffix(".release")
    for name, version in pins.items():
        releases = registry.having(part.name, {f"{COMPONENT}{name}": str(version)})
        registry.describe(registry.part(name, version), describe_part(surface, releases))


def _published(store: LabelStore, snapshot: str, as_of: datetime) -> Snapshot:
    labels = store.snapshot(snapshot)
    if labels.as_of != as_of:
        raise DataError(
            f"Label snapshot {snapshot} is as of {format_instant(labels.as_of)}, asked for was "
            f"{format_instant(as_of)}. Build labels as of that instant, or ask for the snapshot's own."
        )
    if not store.published(snapshot):
        raise GateRefused(
            f"Label snapshot {snapshot} is not published: it did not pass validation, or was not validated. "
            "Run `equipoise validate` and read its report."
        )
    return labels


def _refuse_overlap(test: DaySlice, pins: Pins) -> None:
    """Refuse parts that learned from a day on which the decision will be rehearsed, or from a later one."""
    late = [part for pair in pins.values() for part in pair if part.trained_until() >= test.first]
    if late:
        named = ", ".join(f"{part.name} version {part.version} to {part.trained_until()}" for part in late)
        raise GateRefused(
            f"The release would be tested on {test.first} to {test.last}, days that its parts have seen: "
            f"{named}. Train and calibrate them as of this release's own instant."
        )


def _days(labels: Snapshot) -> list[Any]:
    table: pa.Table = labels.days()
    return list(table.column("ds").to_pylist())


def _inputs(context: Context, as_of: datetime, labels: Snapshot, pins: Pins) -> str:
    """Digest everything that decides the release's bytes."""
    return digest(
        {
            "step": STEP,
            "recipe": RECIPE,
            "as_of": format_instant(as_of),
            "snapshot": labels.id,
            "contracts": dict(context.contracts.digests),
            "parts": {part.name: [part.version, part.sha256] for pair in pins.values() for part in pair},
            "code": code_digest(),
            "requirements": requirements(),
        }
    )


def _challenge(registry: Registry, part: Part) -> None:
    """Let ``challenger`` mean this release, unless it means one as of a later instant."""
    held = _held(registry, part.name, CHALLENGER)
    if held is None or _as_of(registry, part) >= _as_of(registry, held):
        registry.set_alias(part, CHALLENGER)


def _before_champion(registry: Registry, surface: str, as_of: datetime) -> bool:
    held = _held(registry, release_name(surface), CHAMPION)
    return held is not None and as_of < _as_of(registry, held)


def _held(registry: Registry, name: str, alias: str) -> Part | None:
    version = registry.aliases(name).get(alias)
    return registry.part(name, version) if version else None


def _as_of(registry: Registry, part: Part) -> datetime:
    return parse_instant(registry.tags(part)["as_of"])


def _own_digests(packaged: PackagedRelease) -> dict[str, str]:
    """Digest the files that the manifest cannot list: itself and what MLflow adds."""
    manifest = packaged.manifest
    listed = {f"{ROOT}/{path}" for path in manifest.files} | set(manifest.code)
    own = {path: sha256(data) for path, data in packaged.files.items() if path not in listed}
    return {"manifest_sha256": own[f"{ROOT}/{MANIFEST}"], **{f"{FILE}{path}": own[path] for path in own}}


def _flat(figures: Sequence[TaskFigures]) -> dict[str, float]:
    return {
        f"{found.task}/{metric}": float(value)
        for found in figures
        for metric, value in found.headline().items()
        if value is not None
    }
