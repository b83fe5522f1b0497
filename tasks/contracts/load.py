"""A surface's four files, read, validated and cross-checked as a set.

::

    surfaces/<name>/  surface.yaml  tasks.yaml  utility.yaml  slate.yaml
        -> read_yaml -> pydantic models -> cross-checks -> Contracts with digests
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from tasks.contracts.crosscheck import (
    find_meaning_problems,
    find_reference_problems,
    find_slate_problems,
    find_surface_problems,
    find_surface_task_problems,
    find_warnings,
)
from tasks.contracts.crosscheck_training import find_training_problems
from tasks.contracts.crosscheck_utility import find_utility_problems
from tasks.contracts.digest import canonical, digest
from tasks.contracts.problems import Problem, problems_of_validation
from tasks.contracts.slate import SlateSpec
from tasks.contracts.surface import EngineName, SurfaceSpec
from tasks.contracts.tasks import TasksSpec
from tasks.contracts.training import HeadKind, head_kind
from tasks.contracts.utility import UtilitySpec
from tasks.contracts.yaml_file import read_yaml
from tasks.errors import ContractError, unknown

_MODELS: Mapping[str, type[BaseModel]] = {
    "surface": SurfaceSpec,
    "tasks": TasksSpec,
    "utility": UtilitySpec,
    "slate": SlateSpec,
}


@dataclass(frozen=True)
class Contracts:
    """A surface's contracts, valid as a set, with the digest of each file."""

    surface: SurfaceSpec
    tasks: TasksSpec
    utility: UtilitySpec
    slate: SlateSpec
    digests: Mapping[str, str]

    @property
    def name(self) -> str:
        """The surface's name."""
        return self.surface.surface

    def head_kind(self, task: str) -> HeadKind:
        """Return what a task's head predicts."""
        return head_kind(self.tasks.tasks[task].kind, self.surface.training_for(task).objective)

    def delayed(self, task: str) -> bool:
        """Return whether a task learns up to its calibrate days, from windows that are still open."""
        return bool(self.surface.training_for(task).delayed) and self.tasks.tasks[task].comes_late

    def run_by(self, engine: EngineName) -> "Contracts":
        """Return the same contracts with another engine; their digests stay: no label depends on it."""
        chosen = self.surface.engine.model_copy(update={"name": engine})
        return replace(self, surface=self.surface.model_copy(update={"engine": chosen}))


@dataclass(frozen=True)
class Checked:
    """Problems and warnings of a surface's files; contracts only where there is no problem."""

    surface: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    contracts: Contracts | None


def surface_names(root: Path) -> tuple[str, ...]:
    """Name the surfaces below a folder: its sub-folders that hold a YAML file."""
    if not root.is_dir():
        raise ContractError(
            f"No folder of surfaces at {root}. Give one with --surfaces DIR or EQUIPOISE_SURFACES, or draft "
            "a surface: equipoise init NAME --impressions FILE --events FILE"
        )
    return tuple(sorted(p.name for p in root.iterdir() if p.is_dir() and any(p.glob("*.yaml"))))


def check_surface(root: Path, name: str) -> Checked:
    """Find every problem of a surface's four files at once.

    Raises
    ------
    ContractError
        There is no such surface.
    """
    if name not in surface_names(root):
        raise ContractError(unknown("surface", name, surface_names(root), where=str(root)))
    models: dict[str, BaseModel] = {}
    problems: list[Problem] = []
    broken: frozenset[str] = frozenset()
    for kind, model in _MODELS.items():
        plain: dict[str, Any] = {}
        try:
            plain = read_yaml(root / name / f"{kind}.yaml")
            models[kind] = model.model_validate(plain)
        except ContractError as error:
            file, _, hint = str(error).partition(": ")
            problems.append(Problem(file, "", "", hint))
        except ValidationError as error:
            problems += problems_of_validation(f"{kind}.yaml", error, model)
            if kind == "tasks":
                broken = _broken_tasks(error)
                models |= _stand_in(plain, broken)
    problems += (one for one in find_problems(name, models) if not _speaks_of(one, broken))
    if problems:
        return Checked(name, tuple(problems), (), None)
    contracts = Contracts(
        **models,  # type: ignore[arg-type]  # each kind holds its own model
        digests={kind: digest(_select_decisive(model)) for kind, model in models.items()},
    )
    return Checked(name, (), tuple(find_warnings(contracts.tasks, contracts.utility)), contracts)


def find_problems(folder: str, models: Mapping[str, BaseModel]) -> list[Problem]:
    """Cross-check what could be read; a file that could not is left out, not held against the others."""
    tasks, surface = models.get("tasks"), models.get("surface")
    utility, slate = models.get("utility"), models.get("slate")
    problems: list[Problem] = []
    sound = False
    if isinstance(tasks, TasksSpec):
        problems += find_reference_problems(tasks)
        sound = not problems
        if sound:
            problems += find_meaning_problems(tasks)
    if isinstance(surface, SurfaceSpec):
        problems += find_surface_problems(folder, surface)
    known = surface if isinstance(surface, SurfaceSpec) else None
    policy = utility if isinstance(utility, UtilitySpec) else None
    if sound and isinstance(tasks, TasksSpec):
        if known is not None:
            problems += find_surface_task_problems(known, tasks)
            problems += find_training_problems(known, tasks, policy)
        if policy is not None:
            problems += find_utility_problems(policy, tasks, known)
    if isinstance(slate, SlateSpec):
        problems += find_slate_problems(slate, policy)
    return problems


def _broken_tasks(error: ValidationError) -> frozenset[str]:
    """Name the tasks that hold what is wrong with tasks.yaml."""
    locations = [finding["loc"] for finding in error.errors(include_url=False)]
    return frozenset(str(loc[1]) for loc in locations if len(loc) > 1 and loc[0] == "tasks")


def _stand_in(plain: dict[str, Any], broken: frozenset[str]) -> dict[str, BaseModel]:
    """Read tasks.yaml with something in place of broken tasks, so that the others can be cross-checked."""
    named = plain.get("tasks")
    if not broken or not isinstance(named, dict):
        return {}
    something = {"family": "engagement", "positive": {"event": "any", "within": "PT1S"}}
    sound = {**plain, "tasks": named | dict.fromkeys(broken, something)}
    try:
        return {"tasks": TasksSpec.model_validate(sound)}
    except ValidationError:
        return {}


def _speaks_of(problem: Problem, tasks: frozenset[str]) -> bool:
    return any(task in place for task in tasks for place in (problem.field, problem.found))


def _select_decisive(model: BaseModel) -> dict[str, object]:
    """Return what decides results: the engine, its threads and its memory only decide when they are there."""
    return {name: value for name, value in canonical(model).items() if name != "engine"}


def load_surface(root: Path, name: str) -> Contracts:
    """Load a surface's contracts.

    Raises
    ------
    ContractError
        There is no such surface, or its files have problems: all are named.
    """
    checked = check_surface(root, name)
    if checked.contracts is None:
        lines = "\n".join(f"  {problem}" for problem in checked.problems)
        raise ContractError(f"{len(checked.problems)} problem(s) in the contracts of '{name}':\n{lines}")
    return checked.contracts
