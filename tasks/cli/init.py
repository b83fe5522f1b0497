"""``equipoise init``: the four files of a surface, drafted from its log, checked, and then written."""

import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import ContractError, DataError

if TYPE_CHECKING:
    from tasks.stores.workspace import Workspace


@dataclass(frozen=True)
class InitResult:
    """The files that were written, where their sources begin, and what to type next."""

    surface: str
    files: list[str]
    logs: str
    next: list[str]


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Read ``OURS=THEIRS`` of each option.

    Raises
    ------
    ContractError
        One has no equals sign.
    """
    pairs = dict(text.split("=", maxsplit=1) for text in texts if "=" in text)
    if len(pairs) != len(texts):
        raise ContractError("write --column OURS=THEIRS, as in --column shown_at=ts")
    return pairs


def init(workspace: "Workspace", tables: Mapping[str, Path], columns: Mapping[str, str]) -> InitResult:
    """Draft a surface's contracts, check them with the log, and write them.

    Raises
    ------
    ContractError
        The name is none, or the surface is there already.
    DataError
        The log cannot be read, or not be drafted from: nothing is written.
    """
    from tasks.contracts.draft import draft_contracts
    from tasks.logs.sketch import locate_sources, sketch_log

    name, folder = workspace.surface, workspace.surfaces / workspace.surface
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        raise ContractError(f"'{name}' is not a name: use letters, digits and underscores, a letter first")
    if folder.exists():
        raise ContractError(f"{folder} is there already: choose another name, or move it away")
    if not isinstance(workspace.logs, Path):
        raise ContractError("init looks at files of this machine: unset EQUIPOISE_LOGS for it")
    files = locate_sources(tables, logs=workspace.logs)
    texts = draft_contracts(name, sketch_log(files, columns, home=workspace.home), owner=_owner())
    workspace.surfaces.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".init-", dir=workspace.surfaces) as aside:
        drafted = Path(aside) / name
        drafted.mkdir()
        for file, text in texts.items():
            (drafted / file).write_text(text, encoding="utf-8")
        _require_valid(drafted, files.logs)
        drafted.rename(folder)
    return InitResult(
        name, [str(folder / file) for file in texts], str(files.logs), _next(workspace, files.logs)
    )


def _owner() -> str:
    try:
        user = getuser()
    except (OSError, KeyError):
        return "somebody"
    return user if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.@+-]{0,99}", user) else "somebody"


def _require_valid(drafted: Path, logs: Path) -> None:
    """Refuse a draft that `check` would refuse, before it is a surface."""
    from tasks.contracts import check_surface
    from tasks.logs.schema_fit import find_schema_problems

    checked = check_surface(drafted.parent, drafted.name)
    problems = list(checked.problems)
    if checked.contracts is not None:
        problems += find_schema_problems(checked.contracts, logs).problems
    if problems:
        lines = "\n".join(f"  {problem.hint}" for problem in problems)
        raise DataError(f"{len(problems)} problem(s) of the log; nothing was written:\n{lines}")


def _next(workspace: "Workspace", logs: Path) -> list[str]:
    export = [] if logs == workspace.logs else [f"export EQUIPOISE_LOGS={shlex.quote(str(logs))}"]
    verbs = (f"check {workspace.surface}", f"plan {workspace.surface} --as-of T")
    return [*export, *(f"equipoise {verb}" for verb in verbs)]
