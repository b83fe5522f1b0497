"""Assembles a release from its pinned parts: fetches, evaluates, describes and registers them.

::

    tested parts -> files -> joints            used for replays; slow chains have factor models
    served parts -> files, the same joints     used for scoring; different for refits (refit.py)
      -> figures, reports, shift between both  -> evidence
    files, manifest, code                      -> one registered version, looked up by its inputs
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from tasks.calibration.choice import CalibrationEvidence
from tasks.contracts import canonical
from tasks.evaluation.evidence import HeadModels
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.release_evidence import RefitEvidence, ReleaseEvidence
from tasks.labels.snapshot import Snapshot
from tasks.ranking.scoring import Scorer
from tasks.release.description import describe
from tasks.release.factor_models import FactorModels
from tasks.release.inputs import release_inputs
from tasks.release.packaging import number_columns, package_release, requirements, typical_request
from tasks.release.parts import Pins, pin_trunks, release_files
from tasks.release.refit import refit_shifts
from tasks.release.release_days import ReleaseDays, Reports, read_examination
from tasks.stores.aliases import release_name
from tasks.stores.files import sha256
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, Part, PinnedPart, PinnedSnapshot, Role
from tasks.stores.registry import Registry
from tasks.stores.releases import BACKFILLED, COMPONENT, FILE, SNAPSHOT, contract_tags, register_policies
from tasks.stores.runs import StepRun
from tasks.stores.steps import Model, ModelStep
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.slices import ReleaseSlices

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Tested:
    """The release that was tested with models of the same recipes, and its parts."""

    release: Part
    pins: Pins


@dataclass(frozen=True)
class Wanted:
    """Specification of a release: everything that determines its bytes.

    ``pins``: the served parts. ``kept``: why a task could not be trained and reuses the champion's model.
    ``unrepeated``: why a tested recipe could not be refitted. ``factor_models``: the factor models that
    measure a slow task's joint. ``tested``: the components used for replays if they differ from the served
    ones, else None.
    """

    workspace: Workspace
    snapshot: Snapshot
    slices: ReleaseSlices
    pins: Pins
    examined: PinnedPart | None
    as_of: datetime
    backfilled: bool
    kept: Mapping[str, str]
    unrepeated: Mapping[str, str]
    factor_models: Mapping[str, FactorModels] = field(default_factory=dict)
    tested: Tested | None = None

    @property
    def inputs(self) -> dict[str, Any]:
        """Inputs that determine the bytes, except ``backfilled``.

        A backfill whose parts equal those of an existing release reuses that release, unmarked.
        """
        parts = [*(part for pair in self.pins.values() for part in pair), *self.further]
        return {
            "as_of": format_instant(self.as_of),
            "snapshot": self.snapshot.id,
            "contracts": dict(self.workspace.contracts.digests),
            "parts": {part.name: [part.version, part.sha256] for part in parts},
            "kept": dict(self.kept),
            "unrepeated": dict(self.unrepeated),
            "factor_models": {
                task: [factor_model.why, *_versions(factor_model)]
                for task, factor_model in self.factor_models.items()
            },
            "requirements": requirements(),
        }

    @cached_property
    def further(self) -> tuple[PinnedPart, ...]:
        """Pinned parts of more than one task: shared trunks, the examination curve, the tested release."""
        tested = None if self.tested is None else PinnedPart.of(self.tested.release, Role.TESTED)
        trunks = pin_trunks(self.workspace.store.registry, self.pins)
        return (*trunks, *(part for part in (self.examined, tested) if part is not None))


@dataclass(frozen=True)
class _Making:
    """One run of the step."""

    wanted: Wanted
    registry: Registry
    step: StepRun

    def release(self) -> Model[ReleaseEvidence]:
        wanted = self.wanted
        pins = wanted.tested.pins if wanted.tested else wanted.pins
        files = self._files(pins)
        joints = self._release_days.joints(files)
        tested = {**files, **joints}
        files = tested if wanted.tested is None else {**self._files(wanted.pins), **joints}
        scorers = [Scorer.from_files(one) for one in (tested, files)]
        release_days = self._release_days.holding(wanted.slices.test, scorers)
        reports = Reports(release_days, release_days.scores(tested), pins)
        figures = release_days.figures(
            reports.scores,
            wanted.pins,
            curve=read_examination(tested),
            measured=self._measured(pins),
            step=self.step,
        )
        sent, signature = release_days.sent_columns(files, wanted.slices.test)
        packaged, manifest = package_release(
            files,
            self._manifest(),
            signature=signature,
            numbers=number_columns(sent),
            example=typical_request(sent),
        )
        self._link(manifest)
        evidence = self._evidence(manifest, figures, reports, served=files)
        self.step.text("release.md", evidence.description)
        self.step.json("manifest.json", manifest.to_json())
        tags = self._tags(packaged, manifest)
        return Model(evidence, packaged, kind="release", metrics=_flat(figures), tags=tags)

    @cached_property
    def _release_days(self) -> ReleaseDays:
        wanted = self.wanted
        return ReleaseDays(
            wanted.workspace,
            wanted.snapshot,
            wanted.slices.tasks,
            factor_files={
                t: self._files(factor_model.chain)
                for t, factor_model in wanted.factor_models.items()
                if factor_model.chain
            },
            unmeasured=self._unmeasured,
        )

    @property
    def _unmeasured(self) -> dict[str, str]:
        return {
            task: factor_model.why
            for task, factor_model in self.wanted.factor_models.items()
            if factor_model.why
        }

    def _files(self, pins: Pins) -> dict[str, bytes]:
        return release_files(self.wanted.workspace, self.registry, pins, self.wanted.examined)

    def _evidence(
        self, manifest: Manifest, figures: Sequence[TaskFigures], reports: Reports, *, served: Files
    ) -> ReleaseEvidence:
        wanted = self.wanted
        factor_models = [
            one for task, factor_model in wanted.factor_models.items() for one in factor_model.evidence(task)
        ]
        return ReleaseEvidence(
            manifest_sha256=manifest.digest,
            backfilled=manifest.backfilled,
            pins=manifest.pins,
            test=manifest.test,
            tasks=tuple(figures),
            kept=dict(wanted.kept),
            unrepeated=dict(wanted.unrepeated),
            proxies=tuple(reports.proxies()),
            conflicts=reports.conflicts(wanted.slices.test),
            refit=None if wanted.tested is None else self._refit(wanted.tested, reports, served),
            factor_models=tuple(factor_models),
            unmeasured=self._unmeasured,
            inputs=tuple(
                release_inputs(
                    wanted.snapshot,
                    [*reports.scores.heads.heads.values()],
                    reports.pins,
                    wanted.slices.test,
                    wanted.workspace.contracts.utility,
                )
            ),
            models=self._models(reports.pins),
            description=describe(
                manifest, wanted.workspace.contracts.utility, figures, factor_models=factor_models
            ),
            rules=canonical(wanted.workspace.contracts.surface.rules),
        )

    def _models(self, pins: Pins) -> dict[str, HeadModels]:
        """Return the calibration figures of models of tasks that are part of a shared trunk."""
        runs = self.registry.runs
        found = {
            task: runs.read_evidence(self.registry.run_id(calibrator), CalibrationEvidence).models
            for task, (_, calibrator) in pins.items()
        }
        return {task: models for task, models in found.items() if models is not None}

    def _refit(self, tested: Tested, reports: Reports, served: Files) -> RefitEvidence:
        refitted = replace(reports, scores=reports.release_days.scores(served), pins=self.wanted.pins)
        shifts = refit_shifts(self.wanted.slices.test, tested=reports, served=refitted)
        return RefitEvidence(tested=tested.release.version, shifts=tuple(shifts))

    def _measured(self, pins: Pins) -> dict[str, TaskFigures]:
        """Return the figures of tasks whose calibration measured exactly the release's predictions."""
        found = {task: self._measured_by(task, calibrator) for task, (_, calibrator) in pins.items()}
        return {task: figures for task, figures in found.items() if figures is not None}

    def _measured_by(self, task: str, calibrator: PinnedPart) -> TaskFigures | None:
        """Return a calibration's figures if it measured them on the release's test rows, else None.

        Chain products, position-dependent predictions, and rankings are measured by the release alone.
        """
        contracts = self.wanted.workspace.contracts
        product = len(contracts.tasks.chain(task)) > 1
        if product or contracts.position_correction(task) != "none" or contracts.head_kind(task) == "ranking":
            return None
        run_id = self.registry.run_id(calibrator)
        found = self.registry.runs.read_evidence(run_id, CalibrationEvidence)
        test = self.wanted.slices.tasks[task].test
        same_labels = (found.snapshot, found.slices["test"]) == (
            self.wanted.snapshot.id,
            (test.first, test.last),
        )
        return found.test if same_labels and found.contracts.items() <= contracts.digests.items() else None

    def _manifest(self) -> Manifest:
        wanted, snapshot = self.wanted, self.wanted.snapshot
        policies = register_policies(wanted.workspace, self.registry, self.step.run_id)
        return Manifest(
            surface=wanted.workspace.surface,
            as_of=wanted.as_of,
            snapshot=PinnedSnapshot(
                snapshot.id, snapshot.contract_digest, snapshot.content_digest, snapshot.as_of
            ),
            contracts=dict(wanted.workspace.contracts.digests),
            test=(wanted.slices.test.first, wanted.slices.test.last),
            parts=(*(part for pair in wanted.pins.values() for part in pair), *wanted.further, *policies),
            files={},
            code={},
            backfilled=wanted.backfilled,
        )

    def _tags(self, packaged: Files, manifest: Manifest) -> dict[str, object]:
        contracts = self.wanted.workspace.contracts
        # digests of the files that the manifest cannot list: itself and MLflow's own files
        listed = {f"{ROOT}/{path}" for path in manifest.files} | set(manifest.code)
        own = {path: sha256(data) for path, data in packaged.items() if path not in listed}
        return {
            "surface": manifest.surface,
            "as_of": format_instant(self.wanted.as_of),
            SNAPSHOT: manifest.snapshot.id,
            "policy_version": contracts.utility.version,
            "slate_policy_version": contracts.slate.version,
            BACKFILLED: str(self.wanted.backfilled).lower(),
            **{f"{COMPONENT}{name}": version for name, version in manifest.pins.items()},
            **contract_tags(contracts),
            "manifest_sha256": own[f"{ROOT}/{MANIFEST}"],
            **{f"{FILE}{path}": own[path] for path in own},
        }

    def _link(self, manifest: Manifest) -> None:
        """Link the run to its inputs; parts find their releases by the version's component tags."""
        self.wanted.snapshot.log_to(self.step, context="test")
        made = (
            part
            for factor_model in self.wanted.factor_models.values()
            for parent in factor_model.made
            for part in factor_model.chain[parent]
        )
        self.step.reads_models(self.registry.model_id(part) for part in (*manifest.parts, *made))


RELEASE: Final = ModelStep[Wanted, ReleaseEvidence](
    name="release",
    room="release",
    document=ReleaseEvidence,
    inputs=lambda wanted: wanted.inputs,
    tags=lambda wanted: {"as_of": format_instant(wanted.as_of), "snapshot": wanted.snapshot.id},
    function=lambda wanted, step: _Making(wanted, wanted.workspace.store.registry, step).release(),
    model=lambda wanted: release_name(wanted.workspace.surface),
    doing="making a release",
)


def _versions(factor_model: FactorModels) -> list[list[object]]:
    return [[part.name, part.version, part.sha256] for pair in factor_model.chain.values() for part in pair]


def _flat(figures: Sequence[TaskFigures]) -> dict[str, float]:
    return {
        f"{found.task}/{metric}": float(value)
        for found in figures
        for metric, value in found.headline.items()
        if value is not None
    }
