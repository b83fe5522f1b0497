"""Lists, shows, compares and verifies releases, and loads them for other steps.

``verify`` downloads a release and checks every byte in four ways: against the digest of all files; against
the manifest for the release's own files; against the version's tags for the manifest and MLflow's files; and
against the pinned parts for files that come from them. The manifest's digest is also in the evidence of the
step that made it, so changed files are detected even if all digests were recomputed.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from tasks.contracts import UtilitySpec
from tasks.contracts.effective_policy import describe_weight
from tasks.contracts.utility import PolicyContext
from tasks.errors import AuditMismatch, ContractError, DataError, StoreError
from tasks.evaluation.release_evidence import GateEvidence, ReleaseEvidence
from tasks.evaluation.subjects import ALL, Segment, Subject
from tasks.evaluation.verdicts import WORST_FIRST, Verdict
from tasks.labels.store import LabelStore
from tasks.release.loading import LoadedRelease, load_release
from tasks.release.parts import pinned_files
from tasks.settings import Settings
from tasks.stores.aliases import OVERRIDE, UNBELIEVED
from tasks.stores.audit import broken_entries
from tasks.stores.files import sha256
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, Part, Role
from tasks.stores.registry import Registry
from tasks.stores.releases import (
    BACKFILLED,
    COMPONENT,
    FILE,
    POLICY_FILE,
    SNAPSHOT,
    Releases,
    read_share,
    summarize_release,
)
from tasks.stores.workspace import Workspace, format_instant
from tasks.text_files import LARGEST_DOCUMENT, read_text

K = TypeVar("K")
V = TypeVar("V")
_COMPARED: Final = ("version", "aliases", "as_of", "snapshot", "verdict", "reasons")


@dataclass(frozen=True)
class VerifyResult:
    """Number of compared files and pins, and all problems."""

    release: str
    version: int
    files: int
    pins: int
    problems: list[str]


def load(workspace: Workspace, ref: str | int) -> LoadedRelease:
    """Load a release with its own code."""
    with tempfile.TemporaryDirectory(prefix="equipoise-release-") as folder:
        return load_release(workspace.store.registry.fetch(workspace.releases.part(ref), Path(folder)))


def load_to_serve(workspace: Workspace, ref: str | int) -> LoadedRelease:
    """Load a release whose results are shown to users."""
    part = workspace.releases.part(ref)
    if Settings().require_verified and (unverified := workspace.aliases.unverified(part.sha256)):
        raise StoreError(f"{part} is not loaded (EQUIPOISE_REQUIRE_VERIFIED): {unverified}")
    return with_boosts(workspace, load(workspace, part.version))


def with_boosts(
    workspace: Workspace, release: LoadedRelease, before: datetime | None = None
) -> LoadedRelease:
    """Return a release with the group boosts in force at an instant, by default now."""
    return release.boosted(workspace.aliases.boosts(before)) if release.boosts_groups else release


def show(workspace: Workspace, ref: str | int) -> dict[str, Any]:
    """Return the components and figures of a release."""
    registry, part = workspace.store.registry, workspace.releases.part(ref)
    tags = registry.tags(part)
    manifest = workspace.releases.manifest(part.version)
    evidence = workspace.store.runs.read_evidence(registry.run_id(part), ReleaseEvidence)
    return {
        **summarize_release(part, tags, registry.aliases(part.name)),
        "pins": manifest.pins,
        "digests": {
            "release": part.sha256,
            "manifest": manifest.digest,
            **manifest.contracts,
            **{pinned.name: pinned.sha256 for pinned in manifest.parts},
        },
        "run_id": registry.run_id(part),
        "metrics": evidence.metrics(),
        **_verdict(workspace, tags),
        "canary_share": read_share(tags),
        "override": tags.get(OVERRIDE),
    }


def _verdict(workspace: Workspace, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the path of a release's dossier, and its reasons; None and empty before the gates ran."""
    if "dossier" not in tags:
        return {"dossier": None, "reasons": []}
    page = workspace.reports / Path(tags["dossier"]).name
    evidence = _read_dossier(page)
    if evidence is None:
        return {"dossier": None, "reasons": [f"its dossier is not there: {page}"]}
    return {"dossier": str(page), "reasons": list(evidence.reasons)}


def _read_dossier(page: Path) -> GateEvidence | None:
    """Read the dossier of a page; None if it is missing."""
    written = page.with_suffix(".json")
    if not written.is_file():
        return None
    return GateEvidence.read(read_text(written, largest=LARGEST_DOCUMENT), where=str(written))


def compare(workspace: Workspace, before: str | int, after: str | int) -> dict[str, Any]:
    """Compare two releases: contracts, components, figures, simulations and verdicts.

    Returns
    -------
    ``contracts`` and ``parts`` with different content; ``weights``: terms whose weights differ, in the base
    (``context`` is None) or a context; ``verdicts``: outcomes that differ, by gate, subject and segment, None
    if one release has none; ``simulated``: both releases' simulated figures of their policies on all traffic;
    ``metrics``: both values by task and figure.
    """
    first, second = (show(workspace, ref) for ref in (before, after))
    moved = [name for name, _, _ in _differences(first["digests"], second["digests"])]
    pinned = {*first["pins"], *second["pins"]} & set(moved)
    parts = {name: [side["pins"].get(name) for side in (first, second)] for name in moved if name in pinned}
    dossiers = [_dossier(side["dossier"]) for side in (first, second)]
    manifests = (workspace.releases.manifest(side["version"]) for side in (first, second))
    policies = [release_policy(workspace, manifest) for manifest in manifests]
    return {
        "from": {name: first[name] for name in _COMPARED},
        "to": {name: second[name] for name in _COMPARED},
        "contracts": sorted(set(moved) - set(parts) - {"release", "manifest"}),
        "parts": parts,
        "weights": [
            {"context": context, "task": task, "from": old, "to": new}
            for (context, task), old, new in _differences(*map(_weights, policies))
        ],
        "verdicts": [
            {
                "gate": gate,
                "subject": subject.to_json(),
                "segment": segment.to_json(),
                "from": old,
                "to": new,
            }
            for (gate, subject, segment), old, new in _differences(*map(_outcomes, dossiers))
        ],
        "simulated": _simulated(*dossiers),
        "metrics": _compare_figures(first["metrics"], second["metrics"]),
    }


def release_policy(workspace: Workspace, manifest: Manifest) -> UtilitySpec:
    """Read the utility policy that a release pins."""
    pinned = manifest.part(Role.UTILITY_POLICY)
    return UtilitySpec.model_validate_json(workspace.store.registry.files(pinned)[POLICY_FILE])


def _differences(first: Mapping[K, V], second: Mapping[K, V]) -> Iterator[tuple[K, V | None, V | None]]:
    """Yield the keys whose values differ, with both values; None if one side has none."""
    for key in dict.fromkeys((*first, *second)):
        if first.get(key) != second.get(key):
            yield key, first.get(key), second.get(key)


def _weights(policy: UtilitySpec) -> dict[tuple[str | None, str], str]:
    """Return each weight of a utility policy, with its value column, by context and task."""
    by_context = {None: policy.named_terms} | {one.name: one.named_terms for one in policy.contexts}
    return {
        (context, name): describe_weight(name, term)
        for context, terms in by_context.items()
        for name, term in terms.items()
    }


def changed_weights(before: UtilitySpec, after: UtilitySpec) -> list[str]:
    """Return the terms whose weights differ, with both weights."""
    return [
        f"{task}{' in ' + context if context else ''} {old or 'without weight'} to {new or 'none'}"
        for (context, task), old, new in _differences(_weights(before), _weights(after))
    ]


def changed_constraints(before: UtilitySpec, after: UtilitySpec) -> list[str]:
    """Return the hard constraints and relevance floors that were added, removed or changed."""
    return [
        f"{name}{' in ' + context if context else ''} "
        f"{'added' if old is None else 'removed' if new is None else 'changed'}"
        for (context, name), old, new in _differences(dict(_constraints(before)), dict(_constraints(after)))
    ]


def _constraints(policy: UtilitySpec) -> Iterator[tuple[tuple[str, str], object]]:
    """Yield each hard constraint and relevance floor by its context, "" for the base, and its name."""
    places: list[tuple[str, UtilitySpec | PolicyContext]] = [("", policy)]
    for context, place in (*places, *((one.name, one) for one in policy.contexts)):
        yield from (((context, one.name), one) for one in place.hard_constraints)
        yield from (((context, f"floor of {task}"), floor) for task, floor in place.relevance_floor.items())


def _dossier(page: str | None) -> Sequence[Verdict]:
    """Return the verdicts of a dossier, worst last; none without a dossier."""
    evidence = None if page is None else _read_dossier(Path(page))
    return sorted(evidence.gates if evidence else (), key=lambda one: -WORST_FIRST.index(one.outcome))


def _simulated(first: Iterable[Verdict], second: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Pair the decision gate's verdicts on all traffic; None if one release has none."""
    sides = [
        {(one.subject, one.relative): one for one in side if one.gate == "decision" and one.segment == ALL}
        for side in (first, second)
    ]
    named = [(key, [side.get(key) for side in sides]) for key in dict.fromkeys((*sides[0], *sides[1]))]
    return [
        {
            "subject": subject.to_json(),
            "relative": relative,
            "from": first and first.observed,
            "to": second and second.observed,
        }
        for (subject, relative), (first, second) in named
    ]


def _outcomes(verdicts: Iterable[Verdict]) -> dict[tuple[str, Subject, Segment], str]:
    """Return the outcome of each verdict, the worst one if a key has several."""
    return {(one.gate, one.subject, one.segment): one.outcome.value for one in verdicts}


def _compare_figures(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Return each figure of both on their test days; None if one has none."""
    compared: dict[str, dict[str, list[Any]]] = {}
    for task in dict.fromkeys((*first, *second)):
        first_test, second_test = (side.get(task, {"test": {}})["test"] for side in (first, second))
        compared[task] = {
            name: [first_test.get(name), second_test.get(name)]
            for name in dict.fromkeys((*first_test, *second_test))
        }
    return compared


def history(workspace: Workspace) -> list[dict[str, Any]]:
    """List every alias update and every approval or rejection, oldest first.

    Altered rows have a ``problem``. If there are none, the last row has the audit's own problem, if any.
    """
    moves = workspace.aliases
    mismatch, entries = moves.mismatch(), moves.audit.entries()
    problems = broken_entries(entries)
    if mismatch is not None and mismatch.source in UNBELIEVED and not problems:
        if not entries:
            raise AuditMismatch(f"{mismatch}.")
        problems = {len(entries) - 1: mismatch.what}
    return [{**entry.to_json(), "problem": problems.get(place)} for place, entry in enumerate(entries)]


def verify(workspace: Workspace, ref: str | int) -> VerifyResult:
    """Check every byte and pin of a release, the audit, and that aliases and serving tags agree with it."""
    part, moves = workspace.releases.part(ref), workspace.aliases
    found, mismatch = verify_bytes(workspace, part), moves.mismatch()
    problems = [*found.problems, *([f"{mismatch}."] if mismatch else [])]
    if mismatch is None or mismatch.source not in UNBELIEVED:
        problems += [f"{problem}." for problem in moves.wrong_tags()]
    if mismatch is None and Settings().require_verified and (unverified := moves.unverified(part.sha256)):
        problems.append(f"{unverified}.")
    return replace(found, problems=problems)


def verify_bytes(workspace: Workspace, part: Part) -> VerifyResult:
    """Verify every byte and every pin of a release against the registry."""
    registry = workspace.store.registry
    with tempfile.TemporaryDirectory(prefix="equipoise-verify-") as scratch:
        folder = Path(scratch)
        problems = list(_failure(registry.fetch, part, folder))
        found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        digests = {path: sha256(file.read_bytes()) for path, file in found.items()}
        manifest = _manifest(folder, problems)
        tags = registry.tags(part)
        problems += _file_problems(digests, tags, manifest)
        if manifest is not None:
            problems += _pin_problems(workspace, registry, tags, manifest)
            problems += _part_problems(registry, digests, manifest)
            problems += _evidence_problems(registry, part, tags, manifest)
            problems += _failure(load_release, folder)
    pins = len(manifest.parts) if manifest else 0
    return VerifyResult(part.name, part.version, len(digests), pins, problems)


def _failure(read: Callable[..., object], *given: object) -> Iterator[str]:
    try:
        read(*given)
    except StoreError as error:
        yield str(error)


def _manifest(folder: Path, problems: list[str]) -> Manifest | None:
    try:
        return Manifest.from_bytes((folder / ROOT / MANIFEST).read_bytes())
    except (StoreError, OSError) as error:
        problems.append(f"The manifest cannot be read: {error}")
        return None


def _file_problems(
    digests: Mapping[str, str], tags: Mapping[str, str], manifest: Manifest | None
) -> Iterator[str]:
    """Yield each file that differs from the tags and the manifest, is missing or is extra."""
    expected = {key.removeprefix(FILE): value for key, value in tags.items() if key.startswith(FILE)}
    if manifest is not None:
        expected |= {f"{ROOT}/{path}": digest for path, digest in manifest.files.items()}
        expected |= manifest.code
    for path in sorted(digests.keys() | expected.keys()):
        if path not in expected:
            yield f"{path} was not registered with this release."
        elif path not in digests:
            yield f"{path} is missing."
        elif digests[path] != expected[path]:
            yield f"{path} has sha256 {digests[path]}, registered was {expected[path]}."


def _pin_problems(
    workspace: Workspace, registry: Registry, tags: Mapping[str, str], manifest: Manifest
) -> Iterator[str]:
    tagged = {key.removeprefix(COMPONENT): value for key, value in tags.items() if key.startswith(COMPONENT)}
    if tagged != {name: str(version) for name, version in manifest.pins.items()}:
        yield f"The version's {COMPONENT}* tags say {tagged}, the manifest pins {manifest.pins}."
    for pinned in manifest.parts:
        try:
            part = registry.part(pinned.name, pinned.version)
            if part.sha256 != pinned.sha256:
                yield f"{part} has sha256 {part.sha256} in the registry, the release pins {pinned.sha256}."
        except (ContractError, StoreError) as error:
            yield f"The pin {pinned.name} version {pinned.version} does not resolve: {error}"
    yield from _snapshot_problems(workspace, tags, manifest)


def _part_problems(registry: Registry, digests: Mapping[str, str], manifest: Manifest) -> Iterator[str]:
    """Yield each file of a release that differs from the file of its pinned part."""
    try:
        files = {str(pinned): registry.files(pinned) for pinned in manifest.parts}
        expected = pinned_files(manifest, files)
    except (ContractError, StoreError, OSError, ValueError) as error:
        yield f"The files of a pinned part cannot be compared: {error}"
        return
    for path, data in expected.items():
        if digests.get(f"{ROOT}/{path}") != sha256(data):
            yield f"{ROOT}/{path} is not what the release's pinned part holds."


def _evidence_problems(
    registry: Registry, part: Part, tags: Mapping[str, str], manifest: Manifest
) -> Iterator[str]:
    """Compare the manifest with the step's evidence, and the tags with both."""
    if not registry.recorded_tags(part):
        yield f"The home has no record that run {registry.run_id(part)} registered these bytes."
    try:
        kept = registry.runs.read_evidence(registry.run_id(part), ReleaseEvidence).manifest_sha256
    except (ContractError, StoreError) as error:
        yield f"The evidence of the step that made the release cannot be read: {error}"
        return
    if kept != manifest.digest:
        yield f"The manifest has sha256 {manifest.digest}, the step that made the release kept {kept}."
    meant = {"as_of": format_instant(manifest.as_of), BACKFILLED: str(manifest.backfilled).lower()}
    for tag, value in meant.items():
        if tags.get(tag) != value:
            yield f"The version's tag {tag} says {tags.get(tag)}, the manifest {value}."


def _snapshot_problems(workspace: Workspace, tags: Mapping[str, str], manifest: Manifest) -> Iterator[str]:
    pinned = manifest.snapshot
    if tags.get(SNAPSHOT) != pinned.id:
        yield f"The version's tag {SNAPSHOT} says {tags.get(SNAPSHOT)}, the manifest pins {pinned.id}."
    try:
        snapshot = LabelStore(workspace.store, workspace.surface).snapshot(pinned.id)
    except DataError as error:
        yield f"The label snapshot {pinned.id} does not resolve: {error}"
        return
    if snapshot.content_digest != pinned.content_digest:
        yield f"Label snapshot {pinned.id} holds {snapshot.content_digest}, pinned {pinned.content_digest}."


@dataclass(frozen=True)
class ReleaseReader(Releases):
    """Releases of a surface for one operation; each is verified once."""

    _verified: dict[int, VerifyResult] = field(default_factory=dict, init=False, repr=False, compare=False)

    def verified(self, version: int) -> VerifyResult:
        """Return the verification of every byte and pin of a release."""
        if version not in self._verified:
            self._verified[version] = verify_bytes(self.workspace, self.part(version))
        return self._verified[version]
