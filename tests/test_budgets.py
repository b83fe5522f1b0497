"""Budgets of the code base, counted in its source: a commit that raises a bound says why.

A bound is the present value, rounded up; beside it stands the aim.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
TASKS: Final = ROOT / "tasks"

BUDGETS: Final = {
    # measure: (at most, aim)
    "lines in tasks": (80_921, 50_000),
    "modules in tasks": (320, 320),
    "names that rooms import from each other": (610, 450),
    "public names in faces": (71, 450),
    "dataclasses and models": (668, 330),
    "class names declared twice": (0, 0),
    "files that name a policy weight": (15, 15),
    "imports, in thousandths of lines": (64, 50),
    "lines in tests": (78_351, 48_000),
    "words in docs": (39_990, 40_000),
}
MODELS: Final = {"BaseModel", "Closed", "NamedTuple", "Document", "TypedDict"}
"""Bases that make a class a record; a dataclass has its decorator."""
WEIGHTS: Final = {"weight", "weights"}
POLICY: Final = {"UtilitySpec", "Term", "TermShare", "FrontPoint"}
"""Models that hold the weights of a utility policy."""
OTHER_WEIGHTS: Final = {"crosscheck_training.py", "schema_fit.py", "off_policy_check.py"}
"""Files that read a policy, and weights of examples or of shown items only."""


@cache
def trees() -> dict[Path, ast.Module]:
    """Return the syntax tree of every module in tasks."""
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(TASKS.rglob("*.py"))}


def count_lines(folder: Path) -> int:
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in folder.rglob("*.py"))


def classes() -> Iterator[ast.ClassDef]:
    for tree in trees().values():
        yield from (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def count_records() -> int:
    """Count dataclasses and models, also those whose base is another model of ours."""
    bases = {
        one.name: {ast.unparse(base).split("[")[0].split(".")[-1] for base in one.bases} for one in classes()
    }
    models = set(MODELS)
    while more := {name for name, of in bases.items() if of & models} - models:
        models |= more
    decorated = [one for one in classes() if any("dataclass" in ast.unparse(d) for d in one.decorator_list)]
    return len({id(one) for one in (*decorated, *(c for c in classes() if c.name in models - MODELS))})


def count_repeated_class_names() -> int:
    named = Counter(one.name for one in classes())
    return sum(n > 1 for n in named.values())


def names_a_weight(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=name) | ast.keyword(arg=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name in WEIGHTS
        case ast.Subscript(slice=ast.Constant(value=key)):
            return key in WEIGHTS
        case ast.Dict(keys=keys):
            return any(isinstance(key, ast.Constant) and key.value in WEIGHTS for key in keys)
    return False


def names_a_policy(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name) | ast.alias(name=name) | ast.ClassDef(name=name):
            return name in POLICY
        case ast.Attribute(attr="utility", value=ast.Name(id=owner) | ast.Attribute(attr=owner)):
            return owner == "contracts"
    return isinstance(node, ast.Constant) and node.value == "utility"


def count_weighing_files() -> int:
    """Count the files with an attribute, keyword, field or key `weight` or `weights` that name a policy.

    Without types this is a heuristic: its files were read one by one, and those of other weights are left out.
    """
    nodes = {file: list(ast.walk(tree)) for file, tree in trees().items() if file.name not in OTHER_WEIGHTS}
    return sum(any(map(names_a_weight, each)) and any(map(names_a_policy, each)) for each in nodes.values())


def imported_between_rooms() -> set[tuple[str, str]]:
    """Return the names, each with its module, that a room imports from another one."""
    found = set()
    for file, tree in trees().items():
        own = file.relative_to(TASKS).parts[0]
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("tasks."):
                continue
            module = str(node.module)
            room = module.split(".")[1]
            if room != own and (TASKS / room).is_dir():
                found |= {(module, name.name) for name in node.names}
    return found


def count_public_names() -> int:
    """Count the entries of every ``__all__`` of a room's face."""
    total = 0
    for face in TASKS.glob("*/__init__.py"):
        for node in trees()[face].body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                assert isinstance(node.value, ast.List)
                total += len(node.value.elts)
    return total


def share_of_imports() -> int:
    lines = sum(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    )
    return 1000 * lines // count_lines(TASKS)


def count_words() -> int:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return sum(len(re.findall(r"\S+", page.read_text(encoding="utf-8"))) for page in pages)


MEASURED: Final = {
    "lines in tasks": lambda: count_lines(TASKS),
    "modules in tasks": lambda: len(trees()),
    "names that rooms import from each other": lambda: len(imported_between_rooms()),
    "public names in faces": count_public_names,
    "dataclasses and models": count_records,
    "class names declared twice": count_repeated_class_names,
    "files that name a policy weight": count_weighing_files,
    "imports, in thousandths of lines": share_of_imports,
    "lines in tests": lambda: count_lines(ROOT / "tests"),
    "words in docs": count_words,
}


@pytest.mark.parametrize("measure", list(BUDGETS))
def test_the_code_base_keeps_within_its_budget(measure: str) -> None:
    value, (most, aim) = MEASURED[measure](), BUDGETS[measure]
    print(f"{measure}: {value:,}, at most {most:,}, aim {aim:,}")  # noqa: T201 - read with -s
    assert value <= most
