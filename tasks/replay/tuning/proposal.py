"""A proposed ``utility.yaml``: the surface's own file with other weights and the next version."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tasks.contracts.yaml_file import read_yaml


def proposed_text(file: Path, weights: Mapping[str, float], *, version: int, why: Sequence[str]) -> str:
    """Return the file's content with other weights; comments of the file are lost.

    Parameters
    ----------
    file : the surface's own ``utility.yaml``.
    weights : by term; value columns and reasons of the terms stay.
    why : lines of a comment at the top.
    """
    plain = read_yaml(file)
    for term, weight in weights.items():
        own = plain["weights"][term]
        plain["weights"][term] = {**own, "weight": weight} if isinstance(own, dict) else weight
    plain["version"] = version
    roles = ", ".join(plain["approvals"])
    head = [*why, f"Nobody has approved it. To approve it are: {roles}."]
    comment = "".join(f"# {line}\n" for line in head)
    return comment + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
