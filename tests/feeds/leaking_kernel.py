"""A program whose kernel filters nothing by hard constraints: what it packs is whole, and lets everything through.

::

    ranking/constraints.py    every drop of a hard constraint is a drop of no row
    retrain_leaking           a release made by that program: parts, manifest, tags and evidence agree
    register_leaking          the same of a release that is there, for the steps that judge it
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from mlflow.models import Model

from tasks.pipeline import RetrainResult, retrain
from tasks.release import packaging
from tasks.release.packaging import package_release
from tasks.stores.manifest import ROOT, Part
from tasks.stores.steps import Code
from tasks.stores.workspace import Workspace

KERNEL = "ranking/constraints.py"
FILTERS = b"[(h.name, rows) for h, rows, _ in"
LEAKS = b"[(h.name, rows & False) for h, rows, _ in"


def retrain_leaking(workspace: Workspace, *, as_of: datetime) -> RetrainResult:
    """Retrain as a program with that kernel would; models that are there are found."""
    with leaking_program():
        return retrain(workspace, as_of=as_of)


@contextmanager
def register_leaking(workspace: Workspace, release: int) -> Iterator[Part]:
    """Register a release once more with that kernel; afterwards the version is gone."""
    registry, part = workspace.store.registry, workspace.releases.part(release)
    files, manifest = registry.files(part), workspace.releases.manifest(release)
    own = {path: files[f"{ROOT}/{path}"] for path in manifest.files}
    with tempfile.TemporaryDirectory() as folder, leaking_program():
        (Path(folder) / "MLmodel").write_bytes(files["MLmodel"])
        signature = Model.load(folder).signature
        packed, _ = package_release(own, manifest, signature=signature)
    run = registry.run_id(part)
    leaking = registry.register(part.name, packed, run_id=run, tags={}, model_type="release")
    yield leaking
    registry.client.delete_model_version(leaking.name, str(leaking.version))


@contextmanager
def leaking_program() -> Iterator[None]:
    """Let what is staged meanwhile be that program's, and the digest of its code another."""
    whole, digest = packaging.travelling, Code.digest

    def travelling(source: Path = packaging.SCRIPT.parents[1]) -> dict[str, bytes]:
        found = whole(source)
        assert found[KERNEL].count(FILTERS) == 1
        return found | {KERNEL: found[KERNEL].replace(FILTERS, LEAKS)}

    def digest_of_that_program(code: Code, room: str, *, without: Collection[str] = ()) -> str:
        found = digest(code, room, without=without)
        return f"{found} leaking" if room == "release" else found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Code, "digest", digest_of_that_program)
        patched.setattr(packaging, "travelling", travelling)
        yield
