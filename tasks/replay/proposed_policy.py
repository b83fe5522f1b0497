"""A utility policy that no surface holds yet: read and held against the contracts of a surface."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from tasks.contracts import Contracts, SlateSpec, UtilitySpec
from tasks.contracts.crosscheck import find_slate_problems
from tasks.contracts.load import find_problems
from tasks.contracts.problems import ALL_READ, Problem, problems_of_validation
from tasks.contracts.yaml_file import read_yaml
from tasks.errors import ContractError


def read_policy(path: Path, contracts: Contracts) -> UtilitySpec:
    """Read a utility policy that no surface holds yet, and hold it against a surface's contracts.

    Raises
    ------
    ContractError
        The file cannot be read, is not a utility policy, or is none for this surface.
    """
    try:
        policy = UtilitySpec.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = problems_of_validation(path.name, error, UtilitySpec)
    else:
        models = {
            "surface": contracts.surface,
            "tasks": contracts.tasks,
            "utility": policy,
            "slate": contracts.slate,
        }
        problems = [
            one if one.file == "slate.yaml" else replace(one, file=path.name)
            for one in find_problems(contracts.name, models)
        ]
        if not problems:
            return policy
    raise _refusal(path, "utility", contracts, problems)


def read_policies(path: Path, contracts: Contracts) -> tuple[UtilitySpec, SlateSpec]:
    """Read a utility policy or a slate policy that no surface holds yet; the surface has the other one.

    A file with a ``length`` is a slate policy.

    Raises
    ------
    ContractError
        The file cannot be read, or is no such policy for this surface.
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
