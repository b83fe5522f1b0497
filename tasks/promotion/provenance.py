"""Read the components of a release and of its champion for the gates that compare them."""

from datetime import datetime
from typing import Final

from tasks.contracts.gates import Rules
from tasks.errors import ContractError, StoreError
from tasks.evaluation.release_evidence import GateEvidence, ReleaseEvidence
from tasks.evaluation.subjects import ALL, Subject
from tasks.evaluation.verdicts import Outcome
from tasks.promotion.gates.gains import GAINS, RecipePair, SameDay
from tasks.promotion.gates.lineage import Lineage
from tasks.promotion.gates.loosened import lasting_reviewers
from tasks.promotion.gates.policy import PolicyVersion, ReleasedPolicies, find_lost_constraints
from tasks.release.view import ReleaseReader, release_policy
from tasks.stores.manifest import Manifest, PinnedPart, Role
from tasks.stores.workspace import Workspace
from tasks.text_files import LARGEST_DOCUMENT, read_text
from tasks.training import same_day
from tasks.training.inputs import TRAINING_RECIPE
from tasks.tuning.evidence import TuningEvidence

DOSSIER: Final = "dossier"
_POLICIES = {"utility": Role.UTILITY_POLICY, "slate": Role.SLATE_POLICY}


def read_gates(workspace: Workspace, release: int) -> GateEvidence | None:
    """Read the evidence of a release's newest gate run; None if there is no run."""
    run = workspace.store.runs.newest(workspace.surface, step="gate", release=release)
    return None if run is None else workspace.store.runs.read_evidence(run, GateEvidence)


def recorded_verdict(workspace: Workspace, release: int) -> str | None:
    """Return the verdict of a release's newest gate run; the run is trusted, the release's tag is not.

    Returns
    -------
    None if there is no gate run, or its evidence cannot be read.
    """
    try:
        evidence = read_gates(workspace, release)
    except (ContractError, StoreError):
        return None
    return None if evidence is None else evidence.verdict


def read_lineage(reader: ReleaseReader, release: int) -> Lineage:
    """Verify every file of a release against its registered digest, and read its components' labels."""
    verified, manifest = reader.verified(release), reader.manifest(release)
    labels = {}
    for part in manifest.parts:
        tags = reader.tags(part)
        if part.newest_training_row is not None and {"snapshot", "as_of"} <= tags.keys():
            name = str(part) if part.name in labels else part.name  # a trunk may occur in two versions
            labels[name] = tags["snapshot"], datetime.fromisoformat(tags["as_of"])
    return Lineage(manifest, reader.tested(release), verified.files, verified.problems, labels)


def read_policies(
    reader: ReleaseReader, manifest: Manifest, released: ReleaseEvidence, *, champion: int | None
) -> ReleasedPolicies:
    """Read the policies that a release and the champion pin, and the reviewers of the release."""
    contracts = reader.workspace.contracts
    before = None if champion is None else reader.manifest(champion)
    users = lasting_reviewers(Rules.model_validate(released.rules), contracts.surface.rules)
    own, of_champion = (
        None if one is None else release_policy(reader.workspace, one) for one in (manifest, before)
    )
    return ReleasedPolicies(
        contracts=manifest.contracts,
        in_force=contracts.digests,
        policies=_versions(reader, manifest),
        champion={} if before is None else _versions(reader, before),
        reviewers={role: users.get(role, ()) for role in contracts.utility.approvals},
        lost_constraints=find_lost_constraints(of_champion, own) if own and of_champion else (),
    )


def read_recipes(reader: ReleaseReader, release: int, *, champion: int | None) -> list[RecipePair] | None:
    """Read the training recipes of the tested models of a release and of the champion.

    Returns
    -------
    One pair for each task with a model in both, with a same-day comparison if the recipe changed; None
    without a champion.
    """
    if champion is None:
        return None
    models, of_champion = (_tested_models(reader, version) for version in (release, champion))
    new, old = (_features(reader, version) for version in (release, champion))
    return [
        RecipePair(
            task,
            recipe := reader.tags(model).get(TRAINING_RECIPE),
            before := reader.tags(of_champion[task]).get(TRAINING_RECIPE),
            (model.trained_until() - of_champion[task].trained_until()).days,
            _same_day(reader.workspace, task, model, recipes=(recipe, before)),
            tuple(name for name in new.get(task, ()) if name not in old.get(task, new[task])),
        )
        for task, model in models.items()
        if task in of_champion
    ]


def read_past_gains(workspace: Workspace, release: int) -> dict[Subject, list[float]]:
    """Read the gains of earlier releases over their champions, by subject of the verdict.

    The gains come from the dossiers of each release's first gate run. Blocked verdicts are left out, so that
    a leak does not widen a limit.
    """
    past: dict[Subject, list[float]] = {}
    for version in range(1, release):
        file = workspace.reports / f"{DOSSIER}-release-{version}.json"
        if not file.exists():
            continue
        try:
            released_verdicts = GateEvidence.read(
                read_text(file, largest=LARGEST_DOCUMENT), where=str(file)
            ).gates
        except (ContractError, StoreError):  # written by an earlier version of equipoise: skipped
            continue
        for one in released_verdicts:
            seen = one.observed if one.segment == ALL and one.outcome is not Outcome.BLOCK else None
            if seen is not None and seen.known and one.gate == "model" and one.subject.metric in GAINS:
                past.setdefault(one.subject, []).append(seen.value)
    return past


def _features(reader: ReleaseReader, release: int) -> dict[str, tuple[str, ...]]:
    """Return the features of a release's heads by task, in descending order of gain."""
    run = reader.registry.run_id(reader.part(release))
    inputs = reader.workspace.store.runs.read_evidence(run, ReleaseEvidence).inputs
    return {one.task: tuple(one.gains) for one in inputs}


def read_front(
    workspace: Workspace, release: int, *, champion: int | None
) -> tuple[TuningEvidence | None, str]:
    """Return the newest tuning with a release's models, else with the champion's, or None; and its run."""
    for version in (release, champion):
        run_id = workspace.store.runs.newest(workspace.surface, step="tune", release=version)
        if run_id is not None:
            return workspace.store.runs.read_evidence(run_id, TuningEvidence), run_id
    return None, ""


def _tested_models(reader: ReleaseReader, release: int) -> dict[str, PinnedPart]:
    """Return the models of a release that were tested, by task."""
    manifest = reader.tested(release)
    return {task: manifest.part(Role.TASK, task) for task in manifest.tasks}


def _same_day(
    workspace: Workspace, task: str, model: PinnedPart, *, recipes: tuple[str | None, str | None]
) -> SameDay | None:
    """Read the same-day comparison of a model with the champion's recipe; None if the recipes are equal."""
    recipe, champion_recipe = recipes
    if None in recipes or recipe == champion_recipe:
        return None
    asked = {"task": task, "model": model.version, "recipe": champion_recipe}
    run = workspace.store.runs.newest(workspace.surface, step=same_day.SAME_DAY.name, **asked)
    if run is None:
        return SameDay(None, "this champion's recipe was not requested when the model was trained", "")
    found = workspace.store.runs.read_evidence(run, same_day.SameDayEvidence)
    return SameDay(found.comparison, found.reason, run)


def _versions(reader: ReleaseReader, manifest: Manifest) -> dict[str, PolicyVersion]:
    found = {}
    for kind, role in _POLICIES.items():
        part = manifest.part(role)
        tags = reader.tags(part)
        digest = tags.get("contract_digest", part.sha256)
        found[kind] = PolicyVersion(tags.get("policy", part.name), tags.get("policy_version", "?"), digest)
    return found
