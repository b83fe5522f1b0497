"""What import-linter and ruff do not check: ``python .ci/lint_rooms.py`` prints each breach and ends with 1.

::

    Steps: build, export.                        what a stage room's docstring says: these may use stores
    With great_expectations: a module.           ... and these that library alone
    a kernel (any other module of the room)      imports no store, and no library that keeps or runs things
    a public function that another room uses     takes and gives no mapping of ``Any``
    subjects, thresholds and segments            have fields; nothing takes their printed form apart

An exception stands in ``UNTYPED`` with its reason.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TASKS: Final = Path(__file__).resolve().parents[1] / "tasks"
STAGES: Final = (
    "logs",
    "labels",
    "validation",
    "training",
    "calibration",
    "release",
    "ope",
    "replay",
    "tuning",
    "experiments",
    "monitoring",
    "promotion",
)
HEAVY: Final = ("airflow", "mlflow", "great_expectations", "pyspark", "deltalake")
STORE: Final = "tasks.stores"
VALUES: Final = tuple(f"tasks.stores.{name}" for name in ("files", "location", "manifest"))
"""What lies in the stores' room and keeps nothing: paths, digests, manifests, the way to the disk."""
TYPED: Final = frozenset({"subject", "threshold", "segment"})
PARSING: Final = frozenset(
    {"partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix", "startswith", "endswith"}
)
"""Names of values that have fields, and the methods of text that would take them apart."""
UNTYPED: Final = {
    "tasks.contracts.load.Contracts.head_plan": "the JSON that lies beside a model",
    "tasks.contracts.load.read_yaml": "what a person wrote, before it is validated",
    "tasks.evaluation.documents.Document.content": "a document as JSON",
    "tasks.evaluation.release_evidence.ReleaseEvidence.metrics": "the JSON that `release show` prints",
    "tasks.stores.projects.ProjectRun.answered": "the result of any command",
    "tasks.training.rows.TaskRows.inputs": "what is digested: canonical JSON",
    "tasks.training.rows.TaskRows.made_from": "what a run logs: JSON",
    "tasks.training.rows.version_tags": "what a run logs: JSON",
}
"""Functions that may hand on a mapping of ``Any``, with the reason."""


def main() -> int:
    """Print every breach; return the exit code."""
    breaches = [*find_kernel_imports(), *find_untyped_mappings(), *find_parsed_values()]
    sys.stdout.writelines(f"{breach}\n" for breach in breaches)
    return 1 if breaches else 0


def find_kernel_imports() -> Iterator[str]:
    """Yield the modules that import what only steps may, and the rooms that name no step."""
    for stage in STAGES:
        init = TASKS / stage / "__init__.py"
        steps = named_modules(init, "Steps")
        if not steps:
            yield f"tasks/{stage}/__init__.py: the docstring names no steps. Write 'Steps: a, b.'"
        allowed = {library: named_modules(init, f"With {library}") for library in HEAVY}
        for file in sorted((TASKS / stage).rglob("*.py")):
            libraries = tuple(library for library, modules in allowed.items() if file.stem in modules)
            kept = sorted(name for name in imported_modules(file) if is_kept_from_kernels(name, libraries))
            if kept and file.stem not in {*steps, "__init__"}:
                path = file.relative_to(TASKS.parent)
                yield f"{path}: a kernel imports {kept[0]}. Hand it the value, or name it among the steps"


def named_modules(init: Path, line: str) -> frozenset[str]:
    """Return the modules that a line of a room's docstring names."""
    text = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    found = re.search(rf"^{line}: ((?:\w+(?:,\s+)?)+)", text, re.MULTILINE)
    return frozenset(re.split(r"[,\s]+", found.group(1).strip())) if found else frozenset()


def is_kept_from_kernels(name: str, libraries: tuple[str, ...]) -> bool:
    """Whether a module keeps or runs things; ``libraries`` are those that its importer works with."""
    if is_inside(name, (*VALUES, *libraries)):
        return False
    return is_inside(name, (*HEAVY, STORE))


def is_inside(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of some packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def imported_modules(file: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it; imports for types alone do not count."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names - {STORE}


def find_untyped_mappings() -> Iterator[str]:
    """Yield public functions and methods of other rooms' use whose signature has a mapping of ``Any``."""
    files = sorted(TASKS.rglob("*.py"))
    shared = {name for file in files for name in imported_from_other_rooms(file)}
    for file in files:
        module = ".".join(file.relative_to(TASKS.parent).with_suffix("").parts)
        for name, function in public_functions(file):
            if name.endswith(("to_json", "from_json")):
                continue  # how a value is written is its own affair
            is_shared = f"{module}.{name.split('.')[0]}" in shared
            if is_shared and f"{module}.{name}" not in UNTYPED and has_untyped_mapping(function):
                yield f"{file.relative_to(TASKS.parent)}:{function.lineno}: {name} has a mapping of Any"


def find_parsed_values() -> Iterator[str]:
    """Yield each place that takes the text of a typed value apart."""
    for file in sorted(TASKS.rglob("*.py")):
        for line in parsed_lines(ast.parse(file.read_text(encoding="utf-8"))):
            path = file.relative_to(TASKS.parent)
            yield f"{path}:{line}: a subject, threshold or segment has fields: read them"


def parsed_lines(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that call a method of `PARSING` on something named like a value of `TYPED`.

    Examples
    --------
    >>> list(parsed_lines(ast.parse("verdict.subject.rpartition('.')")))
    [1]
    >>> [list(parsed_lines(ast.parse(text))) for text in ("str(one.threshold).split(' ')", "a.split()")]
    [[1], []]
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PARSING:
            names = {one.attr for one in ast.walk(node.func.value) if isinstance(one, ast.Attribute)}
            names |= {one.id for one in ast.walk(node.func.value) if isinstance(one, ast.Name)}
            if names & TYPED:
                yield node.lineno


def public_functions(file: Path) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield a file's public functions, and the public methods of its classes as ``Class.method``."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            methods = (one for one in node.body if isinstance(one, ast.FunctionDef))
            yield from ((f"{node.name}.{one.name}", one) for one in methods if not one.name.startswith("_"))


def imported_from_other_rooms(file: Path) -> Iterator[str]:
    """Yield what a file imports of other rooms, as ``module.name``."""
    room = file.relative_to(TASKS).parts[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tasks."):
            module = str(node.module)
            if module.split(".")[1] != room:
                yield from (f"{module}.{alias.name}" for alias in node.names)


def has_untyped_mapping(function: ast.FunctionDef) -> bool:
    """Whether an annotation of a function's signature is a mapping whose values are ``Any``."""
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    annotations = [*(argument.annotation for argument in arguments), function.returns]
    return any(re.search(r"(dict|Mapping)\[[^\[\]]*, Any\]", ast.unparse(a)) for a in annotations if a)


if __name__ == "__main__":
    sys.exit(main())
