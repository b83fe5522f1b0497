"""The files of docs/examples: contracts are valid, and outputs are what the program prints today."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.contracts import check_surface
from tasks.contracts.load import read_yaml
from tests.contracts.files import setting
from tests.docs.example_files import EXAMPLES, FOLDER, NAME, rendered

KINDS = ("surface", "tasks", "utility", "slate")
VARIANTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "variants.yaml").read_text(encoding="utf-8"))
WARNED = {"loss_weight", "new_item_exposure"}
"""On separate trees a loss weight rescales regularisation; without candidates no exposure is measured."""


def warned(root: Path) -> set[str]:
    """Check the examples of a folder; return what is warned of."""
    checked = check_surface(root, NAME)
    assert [str(problem) for problem in checked.problems] == []
    return {name for name in WARNED for problem in checked.warnings if name in str(problem)} | {
        str(problem) for problem in checked.warnings if not any(name in str(problem) for name in WARNED)
    }


def test_the_contracts_are_valid_as_a_set() -> None:
    assert warned(FOLDER) == WARNED


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_each_other_value_is_valid(variant: dict[str, Any], tmp_path: Path) -> None:
    files = {kind: deepcopy(read_yaml(FOLDER / NAME / f"{kind}.yaml")) for kind in KINDS}
    for key, value in variant.items():
        setting(key, value)(files)
    (tmp_path / NAME).mkdir()
    for kind, content in files.items():
        (tmp_path / NAME / f"{kind}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert warned(tmp_path) <= WARNED


def test_the_program_prints_what_stands_in_the_files() -> None:
    stale = [name for name, text in rendered().items() if (FOLDER / name).read_text(encoding="utf-8") != text]
    assert stale == []  # `python -m tests.docs.example_files` writes them anew


def test_every_file_is_in_the_table() -> None:
    listed = {(FOLDER / file).resolve() for _, file, _ in EXAMPLES}
    assert {path for path in FOLDER.rglob("*.*") if path.name != "index.md"} <= listed
