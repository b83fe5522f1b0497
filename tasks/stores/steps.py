"""Steps: the inputs of a step's evidence, the function that computes it, and one way to run it.

::

    TRAIN = ModelStep("train", ...)              declared once, next to its function
    TRAIN.run(rows)
      fingerprint = digest(name, code, inputs)   found among the finished runs or the registered versions?
        yes -> the evidence is read, and nothing is computed
        no  -> run opened -> function -> evidence written -> model registered (`ModelStep`) -> run closed

A version that lost its files, its evidence or its record is created again in its own run and place. A killed
step leaves its run open, which the next run with the same fingerprint closes.

The fingerprint includes a digest of the step's code, so that changed code recomputes the evidence.

::

    a step of the package release  every source file of `tasks`, without the packages above release
    and the versions of            lightgbm, numpy, scikit-learn

The files are those of the step's package and of every package that it may import, by the layers in
pyproject.toml. The digest covers more files than a step needs, so that no import is forgotten.
"""

import importlib.metadata
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

from tasks.contracts import digest
from tasks.evaluation.documents import Document
from tasks.stores.files import sha256
from tasks.stores.manifest import Part
from tasks.stores.registry import Registry
from tasks.stores.runs import INPUTS, StepKey, StepRun
from tasks.stores.workspace import Workspace

_TOP_DOWN: Final = (
    frozenset({"cli"}),
    frozenset({"pipeline", "datasets"}),
    frozenset({"promotion"}),
    frozenset({"experiments", "monitoring"}),
    frozenset({"tuning"}),
    frozenset({"replay"}),
    frozenset({"ope"}),
    frozenset({"release"}),
    frozenset({"calibration"}),
    frozenset({"training"}),
    frozenset({"trunks"}),
    frozenset({"validation"}),
    frozenset({"labels"}),
    frozenset({"logs"}),
)
"""The packages with steps, and those above them; packages on one level do not import each other."""
_LIBRARIES: Final = ("lightgbm", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Code:
    """The source files of a package, each read once."""

    package: Path

    @cached_property
    def files(self) -> dict[str, str]:
        """The sha256 of each source file by its path in the package."""
        paths = sorted(self.package.rglob("*.py"))
        return {path.relative_to(self.package).as_posix(): sha256(path.read_bytes()) for path in paths}

    def below(self, room: str, *, without: Collection[str] = ()) -> dict[str, str]:
        """Return the files of a sub-package and of those below it."""
        level = next(at for at, rooms in enumerate(_TOP_DOWN) if room in rooms)
        above = {*without, *frozenset().union(*_TOP_DOWN[:level]), *(_TOP_DOWN[level] - {room})}
        return {path: sha for path, sha in self.files.items() if _room(path) not in above}

    def digest(self, room: str, *, without: Collection[str] = ()) -> str:
        """Return the digest of the files of `below` and of the libraries' versions."""
        files = [f"{sha} {path}" for path, sha in self.below(room, without=without).items()]
        versions = [f"{name}=={importlib.metadata.version(name)}" for name in _LIBRARIES]
        return sha256("\n".join([*files, *versions]).encode())


def _room(path: str) -> str:
    return Path(path).parts[0].removesuffix(".py")


CODE: Final = Code(Path(__file__).resolve().parents[1])
"""The code of this process."""


class Work(Protocol):
    """Arguments of a step; a step's own dataclass adds the values that its function needs."""

    @property
    def workspace(self) -> Workspace:
        """The surface and its home."""


W = TypeVar("W", bound=Work)
D = TypeVar("D", bound=Document)


@dataclass(frozen=True)
class Done(Generic[D]):
    """The evidence of a step and its run; ``reused``: from an earlier run with equal inputs."""

    run_id: str
    evidence: D
    reused: bool


@dataclass(frozen=True)
class DoneModel(Done[D]):
    """The result of a step that registers a model."""

    part: Part


@dataclass(frozen=True)
class Model(Generic[D]):
    """A model to register: its evidence, its files and its description in MLflow."""

    evidence: D
    files: Mapping[str, bytes]
    kind: str
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _StepDeclaration(Generic[W, D]):
    """The declaration of a step.

    Parameters
    ----------
    name : the tag ``step`` of its runs.
    room : the sub-package of `tasks` with the step, whose code and dependencies enter the fingerprint.
    without : sub-packages below whose code does not affect the evidence.
    document : type of its evidence.
    inputs : all other inputs of the evidence, as plain JSON.
    tags : further tags of the run, such as ``as_of`` and ``snapshot``.
    task : the task of the step; None for a step of all tasks.
    """

    name: str
    room: str
    document: type[D]
    inputs: Callable[[W], Mapping[str, Any]]
    tags: Callable[[W], Mapping[str, object]]
    task: Callable[[W], str | None] = lambda _: None
    without: Collection[str] = ()

    def fingerprint(self, work: W) -> str:
        """Return the digest of all inputs of the evidence."""
        return self.digest(self.inputs(work))

    def digest(self, inputs: Mapping[str, Any]) -> str:
        """Return the digest of inputs, of the step's name and of its code."""
        code = CODE.digest(self.room, without=self.without)
        return digest({"step": self.name, "code": code, "inputs": dict(inputs)})

    def _key(self, work: W) -> StepKey:
        at = work.workspace
        return StepKey(at.surface, self.name, self.fingerprint(work), self.task(work))


@dataclass(frozen=True, kw_only=True)
class Step(_StepDeclaration[W, D]):
    """A step that produces evidence only.

    Parameters
    ----------
    function : computes the evidence in an open run, where it may log metrics, tables, pages and pictures.
    reuses : whether an earlier run with the same fingerprint is reused.
    """

    function: Callable[[W, StepRun], D]
    reuses: bool = True

    def run(self, work: W, *, parent_run: str | None = None) -> Done[D]:
        """Compute the evidence, or reuse that of an earlier run."""
        key, runs = self._key(work), work.workspace.store.runs
        found = runs.finished(key) if self.reuses else None
        if found is not None:
            return Done(found, runs.read_evidence(found, self.document), reused=True)
        with runs.step(key, parent_run=parent_run, tags=self.tags(work)) as opened:
            opened.evidence(self.function(work, opened))
        return Done(opened.run_id, runs.read_evidence(opened.run_id, self.document), reused=False)


@dataclass(frozen=True, kw_only=True)
class ModelStep(_StepDeclaration[W, D]):
    """A step that registers a model, whose version is found by the fingerprint.

    Parameters
    ----------
    function : creates the model in an open run.
    model : returns the name of the registered model.
    doing : reason shown to other processes of this machine that wait for the step.
    """

    function: Callable[[W, StepRun], Model[D]]
    model: Callable[[W], str]
    doing: str | None = None

    def run(self, work: W, *, parent_run: str | None = None) -> DoneModel[D]:
        """Create and register the model, or find the version with the same fingerprint."""
        store, name, key = work.workspace.store, self.model(work), self._key(work)
        registry, doing = store.registry, f"{self.doing} of {key.surface}"
        with store.alone(name, doing=doing) if self.doing else nullcontext():
            found = self._find(registry, name, key)
            part = found or self._make(registry, work, key, parent_run)
        run_id = registry.run_id(part)
        return DoneModel(run_id, store.runs.read_evidence(run_id, self.document), found is not None, part)

    def _find(self, registry: Registry, name: str, key: StepKey) -> Part | None:
        """Return the version if it exists and nothing of it is lost; closes its run."""
        part = registry.find(name, {INPUTS: key.inputs})
        if part is None or not registry.is_whole(part):
            return None
        registry.runs.finish(registry.run_id(part))
        return part

    def _make(self, registry: Registry, work: W, key: StepKey, parent_run: str | None) -> Part:
        """Create, record and register, in this order, so that no version lacks its evidence."""
        name, tags = self.model(work), self.tags(work)
        again = registry.find_lost_run(name, {INPUTS: key.inputs})
        with registry.runs.step(key, parent_run=parent_run, tags=tags, again=again) as opened:
            made = self.function(work, opened)
            opened.evidence(made.evidence)
            part = registry.register(
                name,
                made.files,
                run_id=opened.run_id,
                tags={**tags, **made.tags, INPUTS: key.inputs},
                model_type=made.kind,
                params=made.params,
            )
            registry.log_metrics(part, opened.run_id, made.metrics)
            opened.name(version=part.version)
        return part
