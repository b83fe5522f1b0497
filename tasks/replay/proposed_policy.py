"""A utility policy that no surface holds yet: read and held against the contracts of a surface."""

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from tasks.contracts import Contracts, UtilitySpec
from tasks.contracts.load import find_problems
from tasks.contracts.problems import problems_of_validation
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
    listed = "; ".join(map(str, problems))
    raise ContractError(f"{path} is not a utility policy for {contracts.name}: {listed}")
