"""Reads, validates and cross-checks a surface's four files as a set.

::

    surfaces/<name>/  surface.yaml  tasks.yaml  utility.yaml  slate.yaml
        -> read_yaml -> pydantic models -> cross-checks -> Contracts with digests

Files are read strictly. Refused with file and line: duplicate keys, tags, aliases and anchors (which prevents
alias bombs), documents other than a mapping, several documents, and input that `tasks.text_files` refuses.

A log may be shared by several surfaces. An event name that another surface declares is no problem; one that
no surface declares may be a typo, and is reported with the most similar known name.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ValidationError

from tasks import columns as c
from tasks.contracts.base import canonical, digest
from tasks.contracts.crosscheck import (
    find_meaning_problems,
    find_reference_problems,
    find_slate_problems,
    find_surface_problems,
    find_surface_task_problems,
    find_warnings,
)
from tasks.contracts.crosscheck_training import find_training_problems, find_trunk_problems
from tasks.contracts.crosscheck_utility import (
    Others,
    find_policy_problems,
    find_role_problems,
    find_utility_problems,
)
from tasks.contracts.problems import ALL_READ, TASK, Place, Problem, Unread, problems_of_validation, salvage
from tasks.contracts.slate import SlateSpec
from tasks.contracts.surface import EngineName, SurfaceSpec
from tasks.contracts.tasks import NEVER_TRAINED, TaskSpec, TasksSpec
from tasks.contracts.training import HeadKind, head_kind
from tasks.contracts.utility import UtilitySpec
from tasks.errors import ContractError, list_names, unknown
from tasks.text_files import LARGEST, decode_text, read_regular_file

_LONGEST_NAME = 80
_BOOLEAN = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9]\d*)$")
_FLOAT = re.compile(
    r"^[-+]?(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?$|^[-+]?\d+[eE][-+]?\d+$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
)
_UNWANTED = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp", "merge", "value")}


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without aliases, explicit tags, duplicate keys and the surprising types of YAML 1.1."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no annotations here
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases are not allowed", event.start_mark
            )
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the tag {tag} is not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not text; put it in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' appears twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


# ``on: item`` is a contract key, so on, off, yes and no are words; dates, octal and base 60 stay text.
_StrictLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNWANTED]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOLEAN, list("tTfF"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one contract file as plain data."""
    return parse_yaml(read_regular_file(path), path.name)


def parse_yaml(raw: bytes, name: str) -> dict[str, Any]:
    """Parse the bytes of one contract file; raises as `read_yaml`, naming the file."""
    if len(raw) > LARGEST:
        raise ContractError(f"{name}: is larger than {LARGEST:,} bytes, the most that is read")
    text = decode_text(raw, name)
    try:
        data = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader made stricter
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise ContractError(f"{name}{line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ContractError(f"{name}: not readable YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(data, dict):
        raise ContractError(f"{name}: expected a mapping of fields, found {type(data).__name__}")
    return data


_MODELS: Mapping[str, type[BaseModel]] = {
    "surface": SurfaceSpec,
    "tasks": TasksSpec,
    "utility": UtilitySpec,
    "slate": SlateSpec,
}
UNDECISIVE: Final = frozenset({"engine", "monitor", "notify"})
"""Fields of surface.yaml that change no result: how labels are computed and who receives messages."""
GOVERNING: Final = UNDECISIVE | {
    "version", "owner", "reviewers", "base_rates", "schedule", "promotion", "override", "ramp", "gates",
}  # fmt: skip
"""Fields of surface.yaml that affect releases and schedules, but no label and no replay."""
CONTRACT_FILES: Final = tuple(f"{kind}.yaml" for kind in _MODELS)


def _without(fields: frozenset[str], model: BaseModel) -> dict[str, object]:
    return {name: value for name, value in canonical(model).items() if name not in fields}


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
        """Name of the surface."""
        return self.surface.surface

    @cached_property
    def measured_digests(self) -> dict[str, str]:
        """Digests of the files without the fields of surface.yaml that change no label and no replay.

        Evidence made from them stays valid after an edit of a gate or of the reviewers. A step whose evidence
        depends on one of these fields lists it among its inputs.
        """
        return {**self.digests, "surface": digest(_without(GOVERNING, self.surface))}

    def head_kind(self, task: str) -> HeadKind | None:
        """Return what a task's head predicts; None for a task that is never trained."""
        spec = self.tasks.tasks[task]
        return head_kind(spec.kind, self.surface.training_for(task).objective) if spec.train else None

    def require_trained(self, task: str) -> HeadKind:
        """Return what a task's head predicts; raise an error for unknown and untrained tasks."""
        known = self.tasks.trained
        if task not in self.tasks.tasks:
            raise ContractError(unknown("task", task, known, where=f"the surface {self.name}"))
        kind = self.head_kind(task)
        if kind is None:
            raise ContractError(f"Task '{task}' of {self.name} {NEVER_TRAINED}. Trained: {', '.join(known)}.")
        return kind

    def learns_joint_event(self, task: str) -> bool:
        """Whether a task with a parent is trained on the joint event, over all impressions."""
        space = self.surface.training_for(task).space
        return self.tasks.parent(task) is not None and space == "entire"

    def head_parent(self, task: str) -> str | None:
        """Return the parent whose predicted probability multiplies this head's prediction, or None.

        A head of ``space: conditional`` is trained on its parent's positives and predicts the last link of
        its chain. A head of ``space: entire`` is trained on the known outcomes of the whole chain and has no
        parent.
        """
        return None if self.learns_joint_event(task) else self.tasks.parent(task)

    def position_correction(self, task: str) -> Literal["none", "feature", "weight"]:
        """Return how a head is corrected for position.

        An item with an earlier event was examined, so a return given a purchase, or the answer to a survey,
        needs no correction. Weights apply only to log loss.
        """
        when = self.tasks.tasks[task].observed_when
        happened = self.head_parent(task) is not None or (when is not None and when.event is not None)
        position = self.surface.training_for(task).position
        if position is None or happened or (position == "weight" and self.head_kind(task) != "binary"):
            return "none"
        return position

    def head_plan(self, task: str) -> dict[str, Any]:
        """Return the plan of a task's head as plain JSON, which is stored with its model.

        ::

            {task, kind, level, parent}            every head
            {..., held: {position: 1}}             debiased by a feature: the value used when scoring
            {..., examined: true}                  debiased by weights: scaled by its position's examination

        The stored plan keeps describing the model after the contract changes.
        """
        plan = {
            "task": task,
            "kind": self.head_kind(task),
            "level": self.tasks.tasks[task].level,
            "parent": self.head_parent(task),
        }
        match self.position_correction(task):
            case "feature":
                return {**plan, "held": {c.POSITION: self.surface.reference_position}}
            case "weight":
                return {**plan, "examined": True}
            case "none":
                return plan

    @property
    def utility_predictions(self) -> tuple[str, ...]:
        """Columns of the predictions that the utility reads."""
        return tuple(c.predicted(task, self.require_trained(task)) for task in self.utility.heads)

    def delayed(self, task: str) -> bool:
        """Whether a task is trained on days up to its calibrate days, whose windows may still be open."""
        return bool(self.surface.training_for(task).delayed) and self.tasks.tasks[task].comes_late

    def run_by(self, engine: EngineName) -> "Contracts":
        """Return the contracts with another engine; digests stay because no label depends on the engine."""
        chosen = self.surface.engine.model_copy(update={"name": engine})
        return replace(self, surface=self.surface.model_copy(update={"engine": chosen}))


@dataclass(frozen=True)
class Checked:
    """Problems and warnings of a surface's files; ``contracts`` is None if there are problems."""

    surface: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    contracts: Contracts | None


def surface_names(root: Path) -> tuple[str, ...]:
    """List the surfaces in a folder: its sub-folders that contain a YAML file."""
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
    models: dict[str, Any] = {}
    problems: list[Problem] = []
    unread: set[Place] = set()
    for kind, model in _MODELS.items():
        try:
            plain = read_yaml(root / name / f"{kind}.yaml")
            models[kind] = model.model_validate(plain)
        except ContractError as error:
            file, _, hint = str(error).partition(": ")
            problems.append(Problem(file, "", "", hint))
        except ValidationError as error:
            problems += problems_of_validation(f"{kind}.yaml", error, model)
            sound, places = salvage(kind, plain, model)
            unread |= places
            if sound is not None:
                models[kind] = sound
    problems += find_problems(name, **models, unread=Unread(frozenset(unread)))
    if problems:
        return Checked(name, tuple(problems), (), None)
    contracts = Contracts(
        **models, digests={kind: digest(_without(UNDECISIVE, model)) for kind, model in models.items()}
    )
    warnings = find_warnings(contracts.surface, contracts.tasks, contracts.utility)
    return Checked(name, (), tuple(warnings), contracts)


def find_problems(
    folder: str,
    *,
    surface: SurfaceSpec | None = None,
    tasks: TasksSpec | None = None,
    utility: UtilitySpec | None = None,
    slate: SlateSpec | None = None,
    unread: Unread = ALL_READ,
) -> Iterator[Problem]:
    """Cross-check the readable values; unreadable values are skipped and cause no further problems."""
    if tasks is not None:
        yield from _find_task_problems(tasks, surface, utility, slate, unread)
    if surface is not None:
        yield from find_surface_problems(folder, surface, unread)
    if utility is not None:
        yield from find_policy_problems(utility, unread)
    if utility is not None and surface is not None:
        yield from find_role_problems(utility, surface, unread)
    if slate is not None:
        yield from find_slate_problems(slate, utility, unread)


def _find_task_problems(
    tasks: TasksSpec,
    surface: SurfaceSpec | None,
    utility: UtilitySpec | None,
    slate: SlateSpec | None,
    unread: Unread,
) -> Iterator[Problem]:
    """Cross-check tasks with the other files; tasks with invalid references are skipped."""
    lost = set[str]()
    for names, problem in find_reference_problems(tasks, unread):
        lost |= names
        yield problem
    substitutes = dict.fromkeys(lost, TaskSpec.model_validate(TASK))
    tasks = tasks.model_copy(update={"tasks": {**tasks.tasks, **substitutes}})
    unread = Unread(unread.places | {("tasks", "tasks", name) for name in lost})
    yield from find_meaning_problems(tasks, unread)
    if surface is not None:
        yield from find_surface_task_problems(surface, tasks, unread)
        yield from find_training_problems(surface, tasks, utility, unread)
        yield from find_trunk_problems(surface, tasks, unread)
    if utility is not None:
        yield from find_utility_problems(utility, Others(tasks, surface, slate, unread))


def load_surface(root: Path, name: str) -> Contracts:
    """Load a surface's contracts.

    Raises
    ------
    ContractError
        There is no such surface, or its files have problems. The message lists all problems.
    """
    checked = check_surface(root, name)
    if checked.contracts is None:
        lines = "\n".join(f"  {problem}" for problem in checked.problems)
        raise ContractError(f"{len(checked.problems)} problem(s) in the contracts of '{name}':\n{lines}")
    return checked.contracts


def read_policy(path: Path, contracts: Contracts) -> UtilitySpec:
    """Read a utility policy from a file, and check it with a surface's contracts.

    Raises
    ------
    ContractError
        The file cannot be read, is not a utility policy, or is invalid for this surface.
    """
    try:
        policy = UtilitySpec.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = problems_of_validation(path.name, error, UtilitySpec)
    else:
        surface, tasks, slate = contracts.surface, contracts.tasks, contracts.slate
        found = find_problems(contracts.name, surface=surface, tasks=tasks, utility=policy, slate=slate)
        problems = [one if one.file == "slate.yaml" else replace(one, file=path.name) for one in found]
        if not problems:
            return policy
    raise _refusal(path, "utility", contracts, problems)


def read_policies(path: Path, contracts: Contracts) -> tuple[UtilitySpec, SlateSpec]:
    """Read a utility policy or a slate policy from a file; the surface's contracts supply the other.

    A file with a ``length`` is a slate policy.

    Raises
    ------
    ContractError
        The file cannot be read, or is not a valid policy for this surface.
    """
    plain = read_yaml(path)
    if "length" not in plain:
        return read_policy(path, contracts), contracts.slate
    try:
        slate = SlateSpec.model_validate(plain)
    except ValidationError as error:
        raise _refusal(
            path, "slate", contracts, problems_of_validation(path.name, error, SlateSpec)
        ) from error
    if problems := list(find_slate_problems(slate, contracts.utility, ALL_READ)):
        raise _refusal(path, "slate", contracts, [replace(one, file=path.name) for one in problems])
    return contracts.utility, slate


def _refusal(path: Path, kind: str, contracts: Contracts, problems: Sequence[Problem]) -> ContractError:
    listed = "; ".join(map(str, problems))
    return ContractError(f"{path} is not a {kind} policy for {contracts.name}: {listed}")


def events_elsewhere(root: Path, surface: str) -> dict[str, str]:
    """Return the event names that other surfaces declare, each with the first such surface.

    A surface whose tasks cannot be read is skipped.
    """
    declared: dict[str, str] = {}
    others = (name for name in surface_names(root) if name != surface) if root.is_dir() else ()
    for name in others:
        with suppress(ContractError, OSError, ValueError):
            for event in TasksSpec.model_validate(read_yaml(root / name / "tasks.yaml")).events:
                declared.setdefault(event, name)
    return declared


def describe_strange_events(
    counts: Mapping[str, int], own: Collection[str], elsewhere: Mapping[str, str]
) -> tuple[str, ...]:
    """Describe events that no task reads: the surface that declares them, or the most similar known name.

    Parameters
    ----------
    counts : events by name, the most frequent first.
    own : event names of the surface.
    elsewhere : event names of other surfaces, each with its surface.

    Examples
    --------
    >>> strange = describe_strange_events({"watch": 7, "clik": 2}, ["click"], {"watch": "video"})
    >>> strange[0]
    'events of other surfaces: watch (7, video)'
    >>> strange[1]
    "events that no task of any surface reads: clik (2, is it 'click'?)"
    """
    known = sorted({*own, *elsewhere})
    others = [f"{name} ({n:,}, {elsewhere[name]})" for name, n in counts.items() if name in elsewhere]
    nobodys = [
        f"{name[:_LONGEST_NAME]} ({n:,}{_nearest(name, known)})"
        for name, n in counts.items()
        if name not in elsewhere
    ]
    named = {"events of other surfaces": others, "events that no task of any surface reads": nobodys}
    return tuple(f"{whose}: {list_names(names)}" for whose, names in named.items() if names)


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name[:_LONGEST_NAME], known, n=1)
    return f", is it '{close[0]}'?" if close else ""
