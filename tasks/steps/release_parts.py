"""The parts of a release: what was just trained, what another release lends, and the two policies.

The champion lends, unless it is of a later as-of: a release of the past takes no part from the future. Then
the release lends that was made as of that very instant, so that a backfill ends in the parts of that day.

A policy is data under review: its version and its content go together. The same version with another
content is refused, whoever asks (law 4).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from tasks.contracts import SlateSpec, UtilitySpec, canonical, canonical_json, digest
from tasks.errors import ContractError, StoreError, unknown
from tasks.ranking.examination import FILE as EXAMINATION
from tasks.release.head_plan import FILE as HEAD
from tasks.release.manifest import Manifest, PinnedPart, Role
from tasks.steps.context import Context, format_instant, parse_instant
from tasks.steps.release_view import BACKFILLED, COMPONENT, rehearsed, release_manifest, release_name
from tasks.stores.alias_moves import CHAMPION
from tasks.stores.parts import BOOSTER, CALIBRATOR, ENCODER, Part
from tasks.stores.registry import Registry
from tasks.stores.runs import read_evidence

POLICY_FILE: Final = "policy.json"
Pins = dict[str, tuple[PinnedPart, PinnedPart]]
"""Task -> its model and its calibrator."""


@dataclass(frozen=True)
class TrainedPart:
    """What a retrain made for one task: exact versions of its model and its calibrator."""

    task: str
    model_version: int
    calibrator_version: int

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "TrainedPart":
        """Read the plain JSON that goes between steps."""
        return cls(str(plain["task"]), int(plain["model_version"]), int(plain["calibrator_version"]))


def find_lender(context: Context, as_of: datetime) -> int | None:
    """Return the release that lends what a retrain as of an instant does not train, None where none may."""
    registry, name = Registry(context.home), release_name(context.surface)
    champion = registry.aliases(name).get(CHAMPION)
    if champion is None:
        return None
    if parse_instant(registry.tags(registry.part(name, champion))["as_of"]) <= as_of:
        return champion
    made_then = registry.find(name, {"as_of": format_instant(as_of), BACKFILLED: "false"})
    if made_then is None:
        return None
    contracts = release_manifest(context, made_then.version).contracts
    same_tasks = contracts["tasks"] == context.contracts.digests["tasks"]
    return made_then.version if same_tasks else None


def pin_tasks(
    context: Context, registry: Registry, trained: Sequence[TrainedPart], *, as_of: datetime
) -> Pins:
    """Pin every task's model and calibrator; what was not trained is lent (`find_lender`).

    Raises
    ------
    ContractError
        A task is unknown, was not trained and there is no release that lends it, or a calibrator was fitted
        to another model.
    """
    tasks = context.contracts.tasks.tasks
    for part in trained:
        if part.task not in tasks:
            raise ContractError(unknown("task", part.task, tasks, where=f"the surface {context.surface}"))
    made = {part.task: pin_trained(context.surface, registry, part) for part in trained}
    missing = [task for task in tasks if task not in made]
    lent = _lent(context, missing, as_of) if missing else {}
    return {task: made.get(task) or lent[task] for task in tasks}


def pin_trained(surface: str, registry: Registry, trained: TrainedPart) -> tuple[PinnedPart, PinnedPart]:
    """Pin what was made for one task; the calibrator must have been fitted to that very model."""
    model = _pin(registry, Role.TASK, f"{surface}.task.{trained.task}", trained.model_version)
    fitted = _pin(
        registry, Role.CALIBRATOR, f"{surface}.calibrator.{trained.task}", trained.calibrator_version
    )
    made_for = registry.tags(Part(fitted.name, fitted.version, fitted.sha256)).get(f"{COMPONENT}{model.name}")
    if made_for != str(model.version):
        raise ContractError(
            f"{fitted.name} version {fitted.version} was fitted to the scores of {model.name} version "
            f"{made_for}, not {model.version}. Calibrate version {model.version}."
        )
    return replace(model, task=trained.task), replace(fitted, task=trained.task)


def _pin(registry: Registry, role: Role, name: str, version: int) -> PinnedPart:
    """Pin a version with the days that its run says it was fitted on."""
    part = registry.part(name, version)
    slices = _slices(registry, part)
    newest = slices["train" if role is Role.TASK else "calibrate"][1]
    return PinnedPart(part.name, part.version, part.sha256, role, None, newest, slices)


def _lent(context: Context, missing: Sequence[str], as_of: datetime) -> Pins:
    lender = find_lender(context, as_of)
    if lender is None:
        raise ContractError(
            f"A release needs every task, and {', '.join(missing)} came without a model. There is no "
            f"champion of {format_instant(as_of)} or before to take it from: train every task."
        )
    manifest = release_manifest(context, rehearsed(context, lender))
    lacking = [task for task in missing if not _has(manifest, task)]
    if lacking:
        raise ContractError(
            f"Release {lender} has no {', '.join(lacking)} to lend: it was made before the task. Train it."
        )
    return {task: (manifest.part(Role.TASK, task), manifest.part(Role.CALIBRATOR, task)) for task in missing}


def _has(manifest: Manifest, task: str) -> bool:
    return any(part.task == task for part in manifest.parts)


def policy_files(context: Context) -> dict[Role, bytes]:
    """Return the canonical content of both policies."""
    contracts = context.contracts
    specs = {Role.UTILITY_POLICY: contracts.utility, Role.SLATE_POLICY: contracts.slate}
    return {role: canonical_json(canonical(spec)).encode() for role, spec in specs.items()}


def refuse_silent_changes(context: Context, registry: Registry) -> None:
    """Refuse a policy whose content changed while its version did not.

    Raises
    ------
    ContractError
        This version of the policy was registered with another content.
    """
    contracts = context.contracts
    for role, spec in ((Role.UTILITY_POLICY, contracts.utility), (Role.SLATE_POLICY, contracts.slate)):
        name = f"{context.surface}.{role}"
        known = registry.find(name, _policy_identity(spec))
        if known is not None and (before := registry.tags(known)["contract_digest"]) != _digest(spec):
            file = "utility.yaml" if role is Role.UTILITY_POLICY else "slate.yaml"
            raise ContractError(
                f"{file} changed while its version did not: {spec.policy} version {spec.version} was "
                f"registered with digest {before[:12]}, it is now {_digest(spec)[:12]}. Raise the version in "
                f"{context.surfaces / context.surface / file}, or take the change back."
            )


def register_policies(context: Context, registry: Registry, run_id: str) -> tuple[PinnedPart, PinnedPart]:
    """Register both policies, or find them."""
    contracts, files = context.contracts, policy_files(context)
    utility = _register(context, registry, Role.UTILITY_POLICY, contracts.utility, files, run_id)
    slate = _register(context, registry, Role.SLATE_POLICY, contracts.slate, files, run_id)
    return utility, slate


def _register(
    context: Context,
    registry: Registry,
    role: Role,
    spec: UtilitySpec | SlateSpec,
    files: Mapping[Role, bytes],
    run_id: str,
) -> PinnedPart:
    part = registry.register(
        f"{context.surface}.{role}",
        {POLICY_FILE: files[role]},
        run_id=run_id,
        tags={"surface": context.surface, "contract_digest": _digest(spec), **_policy_identity(spec)},
        model_type="policy",
    )
    return PinnedPart(part.name, part.version, part.sha256, role)


def _policy_identity(spec: UtilitySpec | SlateSpec) -> dict[str, str]:
    return {"policy": spec.policy, "policy_version": str(spec.version)}


def _digest(spec: UtilitySpec | SlateSpec) -> str:
    return digest(canonical(spec))


def pin_examination(registry: Registry, part: Part | None) -> PinnedPart | None:
    """Pin the examination curve, with the days that it was estimated from."""
    if part is None:
        return None
    slices = _slices(registry, part)
    newest = slices["train"][1] if slices else None
    return PinnedPart(part.name, part.version, part.sha256, Role.EXAMINATION, None, newest, slices)


def _slices(registry: Registry, part: Part) -> dict[str, tuple[date, date]]:
    """Return first and last day of each slice that a part's run says it was made from."""
    days = read_evidence(registry.home, registry.run_id(part))["slices"]
    return {
        kind: (date.fromisoformat(first), date.fromisoformat(last)) for kind, (first, last) in days.items()
    }


def release_files(
    context: Context, registry: Registry, pins: Pins, examined: PinnedPart | None = None
) -> dict[str, bytes]:
    """Fetch every part, each byte compared with its pin, and lay out the release folder without joints."""
    policies = policy_files(context)
    fetched = {task: dict(_fetched(registry, task, *pair)) for task, pair in pins.items()}
    plan = {"heads": [json.loads(files.pop(HEAD)) for files in fetched.values()]}
    return {
        "heads.json": canonical_json(plan).encode(),
        "utility.json": policies[Role.UTILITY_POLICY],
        "slate.json": policies[Role.SLATE_POLICY],
        **_examination(registry, examined),
        **{path: data for files in fetched.values() for path, data in files.items()},
    }


def _examination(registry: Registry, examined: PinnedPart | None) -> dict[str, bytes]:
    if examined is None:
        return {}
    folder = registry.fetch(Part(examined.name, examined.version, examined.sha256))
    return {EXAMINATION: (folder / EXAMINATION).read_bytes()}


def _fetched(
    registry: Registry, task: str, model: PinnedPart, calibrator: PinnedPart
) -> Iterator[tuple[str, bytes]]:
    trained = registry.fetch(Part(model.name, model.version, model.sha256))
    mapped = registry.fetch(Part(calibrator.name, calibrator.version, calibrator.sha256))
    if not (trained / HEAD).exists():
        raise StoreError(
            f"{model.name} version {model.version} does not say what its head is ({HEAD}): an earlier "
            "program trained it. Train the task anew."
        )
    yield HEAD, (trained / HEAD).read_bytes()
    yield f"models/{task}.txt", (trained / BOOSTER).read_bytes()
    yield f"encoders/{task}.json", (trained / ENCODER).read_bytes()
    yield f"calibrators/{task}.json", (mapped / CALIBRATOR).read_bytes()
