"""The parts of a release: newly trained parts, parts reused from another release, and the two policies.

Parts are reused from the champion, unless its as-of is later than the release's, because a past release must
not use future parts. Then they are reused from the release with the same as-of, as a backfill requires.

A policy's version and content belong together. The same version with different content is refused (law 4).

A calibrator that was fitted to a shared trunk, or to its blend with the trees, stores the trunk's version
with its map. So several heads share one trunk, and a reused head keeps the trunk version of its map.

The result of a retrain for one task is a new model and calibrator, or reuse of the champion's.

::

    trained and calibrated     -> Trained         {task, model_version, calibrator_version}
    DataError, ImmatureLabels  -> ReusedChampion  {task, why}     if the champion has the task
                                  the error       otherwise; it ends the run

A task without labels therefore does not block the others. The freshness gate limits the age of reused parts.
Between the steps of a workflow both results are plain JSON.

A policy change needs no training::

    champion -> the release that it was tested as -> its tasks' model and calibrator versions, its labels
    current utility.yaml and slate.yaml           -> the policies of the new release
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, assert_never

from tasks.calibration.choice import CalibrationEvidence
from tasks.contracts import Contracts, canonical_json
from tasks.errors import ContractError, DataError, StoreError
from tasks.ranking.examination import FILE as EXAMINATION
from tasks.ranking.trunk import ARRAYS, DESCRIPTION
from tasks.stores.aliases import CHAMPION
from tasks.stores.manifest import BOOSTER, CALIBRATOR, CHOICE, ENCODER, HEAD, Manifest, Part, PinnedPart, Role
from tasks.stores.registry import Registry
from tasks.stores.releases import COMPONENT, POLICY_FILE, policy_files
from tasks.stores.workspace import Workspace, format_instant
from tasks.training.evidence import ExaminationEvidence, TrainingEvidence
from tasks.training.trunk_step import TrunkEvidence

_LOG = logging.getLogger("equipoise")


_POLICIES = ("utility", "slate")


@dataclass(frozen=True)
class Trained:
    """Versions of the model and the calibrator that were trained for a task."""

    task: str
    model_version: int
    calibrator_version: int


@dataclass(frozen=True)
class ReusedChampion:
    """A task that could not be trained or calibrated and reuses the champion's parts, and why."""

    task: str
    why: str


TaskResult = Trained | ReusedChampion


def read_reused(plain: Mapping[str, object]) -> ReusedChampion | None:
    """Read a reused champion from JSON; None if the JSON describes a trained model.

    Examples
    --------
    >>> read_reused({"task": "buy", "why": "3 positives"}), read_reused({"task": "buy", "version": 2})
    (ReusedChampion(task='buy', why='3 positives'), None)
    """
    return ReusedChampion(str(plain["task"]), str(plain["why"])) if "why" in plain else None


def read_result(plain: Mapping[str, str | int | bool]) -> TaskResult:
    """Read a result from its plain JSON; additional keys are ignored.

    Examples
    --------
    >>> read_result({"task": "buy", "model_version": 2, "calibrator_version": 1, "reused": True})
    Trained(task='buy', model_version=2, calibrator_version=1)
    """
    return read_reused(plain) or Trained(
        str(plain["task"]), int(plain["model_version"]), int(plain["calibrator_version"])
    )


def keep_champion(workspace: Workspace, *, task: str, as_of: datetime, error: DataError) -> ReusedChampion:
    """Reuse the champion's parts for a task that could not be trained or calibrated."""
    fallback = workspace.releases.fallback(as_of)
    if fallback is None or workspace.releases.manifest(fallback).find(Role.TASK, task) is None:
        raise error
    _LOG.warning("train: %s keeps the model of release %s. %s", task, fallback, error)
    return ReusedChampion(task, str(error))


def split_results(results: Sequence[TaskResult]) -> tuple[list[Trained], dict[str, str]]:
    """Split results into trained tasks and the reasons of tasks that reuse the champion's parts."""
    trained, kept = list[Trained](), dict[str, str]()
    for result in results:
        match result:
            case Trained():
                trained.append(result)
            case ReusedChampion(task, why):
                kept[task] = why
            case _:
                assert_never(result)
    if kept and not trained:
        raise DataError(f"No task could be trained, so there is nothing new. {' '.join(kept.values())}")
    return trained, kept


def champion_parts(workspace: Workspace) -> tuple[Manifest, list[Trained]]:
    """Return the champion's parts for a release under the current policies.

    Returns
    -------
    The manifest of the release that the champion was tested as, with its instant and labels, and its models
    with their calibrators.
    """
    champion = workspace.releases.find(CHAMPION)
    if champion is None:
        raise ContractError(
            f"{workspace.surface} has no champion whose models a changed policy could use: retrain, and "
            "promote the release"
        )
    tested = workspace.releases.tested(champion)
    refuse_no_policy_change(tested.contracts, workspace.contracts, champion=champion)
    return tested, [
        Trained(task, model.version, calibrator.version)
        for task, (model, calibrator) in pins_of(tested, tested.tasks).items()
    ]


def refuse_no_policy_change(before: Mapping[str, str], contracts: Contracts, *, champion: int) -> None:
    """Refuse unless a policy, and nothing else, differs from the champion's."""
    now = contracts.digests
    if before["tasks"] != now["tasks"]:
        raise ContractError(
            f"tasks.yaml is not that of champion {champion}, whose models predict other tasks: a retrain is "
            "needed, or take the change back"
        )
    if all(before[name] == now[name] for name in _POLICIES):
        raise ContractError(
            f"utility.yaml and slate.yaml are those of champion {champion}: there is no change to apply. "
            "Change one of them, and raise its version"
        )


Files = Mapping[str, bytes]
Pins = dict[str, tuple[PinnedPart, PinnedPart]]
"""Model and calibrator of each task."""


def pin_tasks(
    workspace: Workspace, registry: Registry, trained: Sequence[Trained], *, as_of: datetime
) -> Pins:
    """Pin every task's model and calibrator; untrained tasks use those of the fallback release."""
    tasks = workspace.contracts.tasks.trained
    for part in trained:
        workspace.contracts.require_trained(part.task)
    made = {part.task: pin_trained(workspace.surface, registry, part) for part in trained}
    missing = [task for task in tasks if task not in made]
    fallback_parts = _fallback_parts(workspace, missing, as_of) if missing else {}
    return {task: made.get(task) or fallback_parts[task] for task in tasks}


def pin_trained(surface: str, registry: Registry, trained: Trained) -> tuple[PinnedPart, PinnedPart]:
    """Pin one task's trained model and calibrator; the calibrator must be fitted to that model."""
    model = _pin(registry, Role.TASK, f"{surface}.task.{trained.task}", trained.model_version)
    fitted = _pin(
        registry, Role.CALIBRATOR, f"{surface}.calibrator.{trained.task}", trained.calibrator_version
    )
    made_for = registry.tags(fitted).get(f"{COMPONENT}{model.name}")
    if made_for != str(model.version):
        raise ContractError(
            f"{fitted.name} version {fitted.version} was fitted to the scores of {model.name} version "
            f"{made_for}, not {model.version}. Calibrate version {model.version}."
        )
    return replace(model, task=trained.task), replace(fitted, task=trained.task)


def _pin(registry: Registry, role: Role, name: str, version: int) -> PinnedPart:
    """Pin a version with the days that its run was fitted on."""
    part = registry.part(name, version)
    slices = _slices(registry, part, TrainingEvidence if role is Role.TASK else CalibrationEvidence)
    newest = slices["train" if role is Role.TASK else "calibrate"][1]
    return PinnedPart.of(part, role, newest_training_row=newest, slices=slices)


def _fallback_parts(workspace: Workspace, missing: Sequence[str], as_of: datetime) -> Pins:
    fallback = workspace.releases.fallback(as_of)
    if fallback is None:
        raise ContractError(
            f"A release needs every task, and {', '.join(missing)} came without a model. There is no "
            f"champion of {format_instant(as_of)} or before to take it from: train every task."
        )
    manifest = workspace.releases.tested(fallback)
    lacking = [task for task in missing if manifest.find(Role.TASK, task) is None]
    if lacking:
        raise ContractError(
            f"Release {fallback} has no model of {', '.join(lacking)}: it was made before the task. Train it."
        )
    return pins_of(manifest, missing)


def pins_of(manifest: Manifest, tasks: Iterable[str]) -> Pins:
    """Return the models and calibrators that a release pins for some tasks."""
    return {task: (manifest.part(Role.TASK, task), manifest.part(Role.CALIBRATOR, task)) for task in tasks}


def pin_examination(registry: Registry, part: Part | None) -> PinnedPart | None:
    """Pin the examination curve with the days that it was estimated from."""
    if part is None:
        return None
    slices = _slices(registry, part, ExaminationEvidence)
    newest = slices["train"][1] if slices else None
    return PinnedPart.of(part, Role.EXAMINATION, newest_training_row=newest, slices=slices)


def pin_trunks(registry: Registry, pins: Pins) -> tuple[PinnedPart, ...]:
    """Pin each trunk that heads predict with once, older versions first."""
    chosen = (_read_choice(registry.files(calibrator)) for _, calibrator in pins.values())
    trunks = {(one["trunk"]["name"], one["trunk"]["version"]): one["trunk"] for one in chosen if one}
    return tuple(_pin_trunk(registry, trunks[key]) for key in sorted(trunks))


def _pin_trunk(registry: Registry, trunk: Mapping[str, Any]) -> PinnedPart:
    part = registry.part(trunk["name"], trunk["version"])
    evidence = registry.runs.read_evidence(registry.run_id(part), TrunkEvidence)
    days = [one["train"] for one in evidence.slices.values()]
    train = min(first for first, _ in days), max(last for _, last in days)
    pinned = PinnedPart(part.name, part.version, trunk["sha256"], Role.TRUNK)
    return replace(pinned, newest_training_row=train[1], slices={"train": train})


def newest_row(registry: Registry, task: str, model: PinnedPart, calibrator: PinnedPart) -> date:
    """Return the last day that a head learned from: the earlier one of its trees and its trunk."""
    newest = model.trained_until()
    if chosen := _read_choice(registry.files(calibrator)):
        part = registry.part(chosen["trunk"]["name"], chosen["trunk"]["version"])
        evidence = registry.runs.read_evidence(registry.run_id(part), TrunkEvidence)
        return min(newest, evidence.slices[task]["train"][1])
    return newest


def _read_choice(files: Files) -> dict[str, Any]:
    """Read the model that a map was fitted to; empty if it was fitted to the trees."""
    chosen: dict[str, Any] = json.loads(files[CHOICE]) if CHOICE in files else {}
    return chosen


def _slices(
    registry: Registry, part: Part, kind: type[TrainingEvidence | CalibrationEvidence | ExaminationEvidence]
) -> dict[str, tuple[date, date]]:
    """Return the first and last day of each slice in the evidence of a part's run."""
    return registry.runs.read_evidence(registry.run_id(part), kind).slices


def release_files(
    workspace: Workspace, registry: Registry, pins: Pins, examined: PinnedPart | None = None
) -> dict[str, bytes]:
    """Fetch every part, verify its bytes, and lay out the release folder without joints."""
    parts = [*(part for pair in pins.values() for part in pair), *([examined] if examined else [])]
    files = {str(part): registry.files(part) for part in (*parts, *pin_trunks(registry, pins))}
    return _laid_out(files, pins, examined, policy_files(workspace))


def pinned_files(manifest: Manifest, files: Mapping[str, Files]) -> dict[str, bytes]:
    """Return the release's files that come unchanged from its pinned parts: all files except the joints.

    Parameters
    ----------
    files : files of each part, by its name and version as text.
    """
    roles = (Role.UTILITY_POLICY, Role.SLATE_POLICY)
    policies = {role: files[str(manifest.part(role))][POLICY_FILE] for role in roles}
    return _laid_out(files, pins_of(manifest, manifest.tasks), manifest.find(Role.EXAMINATION), policies)


def _laid_out(
    files: Mapping[str, Files], pins: Pins, examined: PinnedPart | None, policies: Mapping[Role, bytes]
) -> dict[str, bytes]:
    parts = {task: dict(_part_files(files, task, *pair)) for task, pair in pins.items()}
    plan = {"heads": [json.loads(own.pop(HEAD)) for own in parts.values()]}
    return {
        "heads.json": canonical_json(plan).encode(),
        "utility.json": policies[Role.UTILITY_POLICY],
        "slate.json": policies[Role.SLATE_POLICY],
        **({} if examined is None else {EXAMINATION: files[str(examined)][EXAMINATION]}),
        **{path: data for own in parts.values() for path, data in own.items()},
    }


def _part_files(
    files: Mapping[str, Files], task: str, model: PinnedPart, calibrator: PinnedPart
) -> Iterator[tuple[str, bytes]]:
    trained, mapped = files[str(model)], files[str(calibrator)]
    plan, chosen = read_head_plan(trained, model), _read_choice(mapped)
    if chosen:
        trunk = Part(**chosen["trunk"])
        folder, blended = f"trunks/{trunk.name}-{trunk.version}", chosen["model"] == "blend"
        plan = canonical_json({**json.loads(plan), "trunk": folder, "blended": blended}).encode()
        for name in (ARRAYS, DESCRIPTION):
            yield f"{folder}/{name}", files[str(trunk)][name]
    yield HEAD, plan
    yield f"models/{task}.txt", trained[BOOSTER]
    yield f"encoders/{task}.json", trained[ENCODER]
    yield f"calibrators/{task}.json", mapped[CALIBRATOR]


def read_head_plan(files: Files, model: Part) -> bytes:
    """Read the description of a head from its model's files."""
    if HEAD not in files:
        raise StoreError(
            f"{model.name} version {model.version} has no file {HEAD}: an earlier program "
            "trained it. Train the task again."
        )
    return files[HEAD]
