"""What people see of releases, and how a single flipped bit anywhere is found."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import ContractError, StoreError
from tasks.release import view as release_view
from tasks.release.loading import load_release
from tasks.release.step import ReleaseResult
from tasks.release.view import ReleaseReader
from tasks.stores.files import sha256
from tasks.stores.manifest import MANIFEST, ROOT, Manifest, Part, Role, folder_sha256
from tasks.stores.registry import Registry
from tasks.stores.workspace import Workspace
from tests.feeds.mini import Retrained
from tests.feeds.small_feed import NAME
from tests.stores.mlflow_home import new_home
from tests.verdicts import segment_of, subject_of

OWN_BYTES = {
    "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "input_example.json", "serving_input_example.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(labelled_feed: tuple[Workspace, str]) -> Workspace:
    return labelled_feed[0]


@pytest.fixture
def stored(workspace: Workspace, released: ReleaseResult, tmp_path: Path) -> Iterator[Path]:
    """The release's files in the artifact store; put back after the test."""
    registry = workspace.store.registry
    model_id = registry.model_id(registry.part(released.release, released.version))
    folder = Path(registry.client.get_logged_model(model_id).artifact_location.removeprefix("file://"))
    shutil.copytree(folder, tmp_path / "before")
    yield folder
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "before", folder)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def flip(file: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_releases_are_compared_by_weights_and_verdicts(second_retrain: Retrained) -> None:
    workspace = second_retrain.workspace
    found = release_view.compare(workspace, 1, 2)
    judged, weights, simulated = [], [], []
    for version in (1, 2):
        page = Path(release_view.show(workspace, version)["dossier"])
        gates = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))["gates"]
        judged.append({(one["gate"], subject_of(one), segment_of(one)) for one in gates})
        simulated.append(
            {
                subject_of(one): one["observed"] and one["observed"]["value"]
                for one in gates
                if one["gate"] == "decision" and not one["segment"]
            }
        )
        pinned = workspace.releases.manifest(version).part(Role.UTILITY_POLICY)
        policy = json.loads(workspace.store.registry.files(pinned)["policy.json"])
        weights.append({task: one["weight"] for task, one in policy["weights"].items()})
    assert found["verdicts"], "one is a first release, the other a challenger"
    for row in found["verdicts"]:
        key = (row["gate"], subject_of(row), segment_of(row))
        assert row["from"] != row["to"]
        assert [row[side] is not None for side in ("from", "to")] == [key in each for each in judged]
    assert len({subject_of(row) for row in found["simulated"]}) == len({*simulated[0], *simulated[1]}) > 0
    for row in found["simulated"]:
        values = [row[side] and row[side].value for side in ("from", "to")]
        assert values == [each.get(subject_of(row)) for each in simulated]
    changed = {row["task"] for row in found["weights"] if row["context"] is None}
    assert changed == {
        task for task in {*weights[0], *weights[1]} if weights[0].get(task) != weights[1].get(task)
    }


def test_a_list_has_every_release_with_its_aliases(workspace: Workspace, released: ReleaseResult) -> None:
    newest = workspace.releases.summaries()[0]
    assert newest["version"] == released.version
    assert newest["aliases"] == ["challenger"]
    assert newest["as_of"] == "2026-02-16T00:00:00Z"
    assert newest["verdict"] is None


def test_a_surface_without_releases_has_an_empty_list(workspace: Workspace, tmp_path: Path) -> None:
    empty = Workspace.open(NAME, surfaces=workspace.surfaces, home=new_home(tmp_path))
    assert empty.releases.summaries() == []


def test_a_release_is_shown_with_pins_digests_and_figures(
    labelled_feed: tuple[Workspace, str], released: ReleaseResult
) -> None:
    workspace, snapshot = labelled_feed
    shown = release_view.show(workspace, "challenger")
    assert shown["pins"] == released.pins
    assert shown["snapshot"] == snapshot
    assert shown["digests"]["release"] == released.sha256
    assert shown["digests"]["utility"] == workspace.contracts.digests["utility"]
    assert set(shown["digests"]) >= set(released.pins)
    assert shown["metrics"] == released.metrics
    keys = {"auc", "auc_low", "auc_high", "normalized_entropy", "calibration_ratio", "rows", "positives"}
    assert keys <= shown["metrics"]["click_1d"]["test"].keys()


def test_the_gates_verdict_is_shown(workspace: Workspace, released: ReleaseResult) -> None:
    registry = workspace.store.registry
    registry.set_tags(registry.part(released.release, released.version), {"verdict": "hold"})
    assert release_view.show(workspace, str(released.version))["verdict"] == "hold"
    registry.client.delete_model_version_tag(released.release, str(released.version), "verdict")


@pytest.mark.parametrize("ref", ["7", "champion"])
def test_a_reference_to_nothing_is_named(workspace: Workspace, released: ReleaseResult, ref: str) -> None:
    with pytest.raises(ContractError, match=f"Unknown (version|alias) '{ref}'"):
        release_view.show(workspace, ref)


def test_an_alias_that_is_not_set_is_no_release(workspace: Workspace, released: ReleaseResult) -> None:
    assert workspace.releases.find("champion") is None
    assert workspace.releases.find("challenger") == released.version


def test_an_untouched_release_verifies(workspace: Workspace, released: ReleaseResult, stored: Path) -> None:
    result = release_view.verify(workspace, "challenger")
    assert result.problems == []
    assert result.files == len(files_of(stored))
    assert result.pins == len(released.pins)


def test_one_flipped_bit_in_any_file_is_refused_at_load_or_found_by_verify(
    workspace: Workspace, released: ReleaseResult, stored: Path, tmp_path: Path
) -> None:
    survived = []
    for path in files_of(stored):
        copy = Path(shutil.copytree(stored, tmp_path / "copy", dirs_exist_ok=True))
        flip(copy / path)
        try:
            load_release(copy)
            survived.append(path)
        except StoreError:
            pass
    assert set(survived) <= OWN_BYTES
    for path in OWN_BYTES:
        before = (stored / path).read_bytes()
        flip(stored / path)
        assert any(path in problem for problem in release_view.verify(workspace, "challenger").problems)
        (stored / path).write_bytes(before)


def test_every_changed_file_is_named_at_once(
    workspace: Workspace, released: ReleaseResult, stored: Path
) -> None:
    names = [path for path in files_of(stored) if not path.endswith("manifest.json")]
    for path in names:
        flip(stored / path)
    problems = "\n".join(release_view.verify(workspace, "challenger").problems)
    assert [path for path in names if path not in problems] == []
    assert "was not loaded" in problems or "cannot be loaded" in problems


def test_a_changed_manifest_is_named(workspace: Workspace, released: ReleaseResult, stored: Path) -> None:
    flip(stored / "artifacts/release/manifest.json")
    assert any("manifest.json has sha256" in p for p in release_view.verify(workspace, "challenger").problems)


def test_an_extra_and_a_missing_file_are_named(
    workspace: Workspace, released: ReleaseResult, stored: Path
) -> None:
    (stored / "code" / "numpy.py").write_text("")
    (stored / "artifacts/release/slate.json").unlink()
    problems = "\n".join(release_view.verify(workspace, "challenger").problems)
    assert "code/numpy.py was not registered with this release." in problems
    assert "artifacts/release/slate.json is missing." in problems


def test_a_changed_part_is_named(workspace: Workspace, released: ReleaseResult) -> None:
    registry = workspace.store.registry
    part = registry.part(f"{NAME}.calibrator.click_1d", 1)
    registry.set_tags(part, {"sha256": "0" * 64})
    problems = "\n".join(release_view.verify(workspace, "challenger").problems)
    registry.set_tags(part, {"sha256": part.sha256})
    assert f"{NAME}.calibrator.click_1d version 1 has sha256 000" in problems


def test_a_changed_pin_tag_is_named(workspace: Workspace, released: ReleaseResult) -> None:
    registry = workspace.store.registry
    part = registry.part(released.release, released.version)
    registry.set_tags(part, {f"component.{NAME}.task.click_1d": "9", "label_snapshot": "other"})
    problems = "\n".join(release_view.verify(workspace, "challenger").problems)
    registry.set_tags(
        part,
        {
            f"component.{NAME}.task.click_1d": "1",
            "label_snapshot": workspace.releases.manifest("challenger").snapshot.id,
        },
    )
    assert "component.* tags say" in problems
    assert "tag label_snapshot says other" in problems


def resign(registry: Registry, part: Part, stored: Path) -> None:
    """Make every digest of a release anew, as whoever may write to the stores can."""
    file = stored / ROOT / MANIFEST
    before = sha256(file.read_bytes())
    listed = json.loads(file.read_bytes())
    for kind, folder in (("files", stored / ROOT), ("code", stored)):
        listed[kind] = {path: sha256((folder / path).read_bytes()) for path in listed[kind]}
    file.write_bytes(Manifest.from_bytes(json.dumps(listed).encode()).to_bytes())
    mlmodel = stored / "MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace(before, sha256(file.read_bytes())))
    own = [key.removeprefix("sha256.") for key in registry.tags(part) if key.startswith("sha256.")]
    digests = {f"sha256.{path}": sha256((stored / path).read_bytes()) for path in own}
    whole = {"sha256": folder_sha256(stored), "manifest_sha256": sha256(file.read_bytes())}
    registry.set_tags(part, {**digests, **whole})


def problems_when_signed_anew(workspace: Workspace, released: ReleaseResult, stored: Path) -> list[str]:
    registry = workspace.store.registry
    part = registry.part(released.release, released.version)
    tags = registry.tags(part)
    resign(registry, part, stored)
    try:
        return release_view.verify(workspace, released.version).problems
    finally:
        registry.set_tags(part, tags)


def test_two_models_that_were_swapped_are_found_though_every_digest_was_made_anew(
    workspace: Workspace, released: ReleaseResult, stored: Path
) -> None:
    one, other, *_ = sorted((stored / ROOT / "models").iterdir())
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])
    problems = problems_when_signed_anew(workspace, released, stored)
    for file in (one, other):
        assert f"{ROOT}/models/{file.name} is not what the release's pinned part holds." in problems


def test_whatever_file_was_changed_is_found_though_every_digest_was_made_anew(
    workspace: Workspace, released: ReleaseResult, stored: Path, tmp_path: Path
) -> None:
    """What is pinned is named by its file, so all of it is changed at once; what no part pins is changed alone."""
    paths = [path for path in files_of(stored / ROOT) if path != MANIFEST]
    pinned = [path for path in paths if not path.startswith("joints")]
    before = Path(shutil.copytree(stored, tmp_path / "signed"))
    for changed in (pinned, *([path] for path in paths if path not in pinned)):
        for path in changed:
            data = (stored / ROOT / path).read_bytes()
            spoilt = data[:-1] if path.endswith(".txt") else data.replace(b"0", b"1", 1) + b" "
            (stored / ROOT / path).write_bytes(spoilt)
        problems = "".join(problems_when_signed_anew(workspace, released, stored))
        assert "the step that made the release kept" in problems, changed
        named = [path for path in changed if f"{path} is not what the release's pinned part" in problems]
        assert named == (changed if changed == pinned else [])
        shutil.copytree(before, stored, dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("tag", "value"), [("as_of", "2031-01-01T00:00:00Z"), ("as_of", "soon"), ("backfilled", "true")]
)
def test_a_tag_that_somebody_set_is_named(
    workspace: Workspace, released: ReleaseResult, tag: str, value: str
) -> None:
    registry = workspace.store.registry
    part = registry.part(released.release, released.version)
    before = registry.tags(part)[tag]
    registry.set_tags(part, {tag: value})
    problems = "".join(release_view.verify(workspace, released.version).problems)
    registry.set_tags(part, {tag: before})
    assert f"The version's tag {tag} says {value}, the manifest {before}." in problems


def test_a_changed_release_is_not_loaded(workspace: Workspace, released: ReleaseResult, stored: Path) -> None:
    flip(stored / "artifacts/release/heads.json")
    with pytest.raises(StoreError, match=r"small_feed\.release version 1 holds other bytes"):
        release_view.load(workspace, released.version)


def test_what_the_audit_does_not_vouch_for_is_not_loaded_to_serve_where_that_is_asked(
    workspace: Workspace, released: ReleaseResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody promoted it: a replay may load it, and whoever shows its results to people may not."""
    ref = released.version
    assert release_view.load_to_serve(workspace, ref).manifest.surface == NAME
    monkeypatch.setenv("EQUIPOISE_REQUIRE_VERIFIED", "1")
    with pytest.raises(
        StoreError, match=r"is not loaded \(EQUIPOISE_REQUIRE_VERIFIED\): No move of the audit"
    ):
        release_view.load_to_serve(workspace, ref)
    (problem,) = release_view.verify(workspace, ref).problems
    assert problem.endswith("champion or canary.")
    assert release_view.load(workspace, ref).manifest.surface == NAME


@pytest.fixture
def manifest_file(workspace: Workspace, released: ReleaseResult, tmp_path: Path) -> Iterator[Path]:
    """The release's manifest in the artifact store; put back after the test."""
    registry = workspace.store.registry
    model_id = registry.model_id(registry.part(released.release, released.version))
    folder = Path(registry.client.get_logged_model(model_id).artifact_location.removeprefix("file://"))
    file = folder / "artifacts/release/manifest.json"
    shutil.copy(file, tmp_path / "before")
    yield file
    shutil.copy(tmp_path / "before", file)


def test_it_reads_what_the_registry_holds(workspace: Workspace, released: ReleaseResult) -> None:
    reader, version = ReleaseReader(workspace), released.version
    assert reader.manifest(version) == workspace.releases.manifest(version)
    assert reader.tested(version) == workspace.releases.tested(version)
    assert (reader.verified(version).problems, reader.verified(version).pins) == ([], len(released.pins))
    model = reader.manifest(version).part(Role.TASK, "click_1d")
    assert reader.tags(model) == workspace.store.registry.tags(model)


def test_a_byte_that_changes_after_the_look_is_found_by_the_next_operation(
    workspace: Workspace, released: ReleaseResult, manifest_file: Path
) -> None:
    reader, version = ReleaseReader(workspace), released.version
    before = reader.manifest(version), reader.verified(version)
    manifest_file.write_bytes(
        manifest_file.read_bytes().replace(b'"backfilled": false', b'"backfilled": true ')
    )
    assert (reader.manifest(version), reader.verified(version)) == before
    later = ReleaseReader(workspace)
    assert any("manifest.json" in problem for problem in later.verified(version).problems)
    with pytest.raises(StoreError, match="holds other bytes than were registered"):
        later.manifest(version)


def test_what_it_refused_once_it_looks_at_again(
    workspace: Workspace, released: ReleaseResult, manifest_file: Path
) -> None:
    """Nothing wrong is remembered as read: a store that did not answer may do so the next time."""
    reader, data = ReleaseReader(workspace), manifest_file.read_bytes()
    manifest_file.write_bytes(data[:-1])
    with pytest.raises(StoreError, match="holds other bytes"):
        reader.manifest(released.version)
    manifest_file.write_bytes(data)
    assert reader.manifest(released.version).digest == workspace.releases.manifest(released.version).digest


def test_a_version_that_does_not_exist_is_named(workspace: Workspace, released: ReleaseResult) -> None:
    with pytest.raises(ContractError, match="Unknown version '17'"):
        ReleaseReader(workspace).manifest(17)
