"""The page on shared trunks: what it declares is accepted, and changes nothing of the trees."""

import shutil
from pathlib import Path

from tasks.contracts import check_surface, load_surface
from tasks.training.inputs import model_inputs
from tests.docs.pages import DOCS, REPOSITORY, blocks


def test_the_declaration_of_the_page_is_accepted_and_leaves_the_trees_as_they_are(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "surfaces", tmp_path / "surfaces")
    before = load_surface(tmp_path / "surfaces", "home_feed")
    (declared,) = [block.text for block in blocks(DOCS / "share_a_trunk.md") if block.language == "yaml"]
    with (tmp_path / "surfaces/home_feed/surface.yaml").open("a", encoding="utf-8") as file:
        file.write(declared)
    checked = check_surface(tmp_path / "surfaces", "home_feed")
    assert not checked.problems
    assert checked.contracts is not None
    surface = checked.contracts.surface
    assert {task for task in before.tasks.trained if surface.model_for(task) == "best"} == {
        "purchase_7d",
        "report_7d",
    }
    for task in before.tasks.trained:
        assert model_inputs(checked.contracts, task) == model_inputs(before, task)
