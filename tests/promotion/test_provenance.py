"""What two real releases were made of."""

from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.promotion.provenance import read_front, read_lineage, read_policies, read_recipes
from tasks.release.reader import ReleaseReader
from tasks.stores.runs import read_evidence
from tests.feeds import mini
from tests.feeds.mini import Retrained


def test_the_lineage_of_a_release_names_the_labels_of_every_part_that_learned(
    second_retrain: Retrained,
) -> None:
    lineage = read_lineage(ReleaseReader(second_retrain.workspace), 2)
    assert lineage.problems == []
    assert lineage.files > len(lineage.manifest.files)
    own = {name for name, labels in lineage.labels.items() if labels.snapshot == lineage.manifest.snapshot.id}
    assert own == {f"{mini.NAME}.{kind}.click_30m" for kind in ("task", "calibrator")}
    assert len(lineage.labels) >= 2 * len(mini.TASKS)


def test_policies_are_read_with_the_champions_and_those_who_may_answer(second_retrain: Retrained) -> None:
    workspace = second_retrain.workspace
    (run, *_) = mini.step_runs(workspace, "release", as_of="2026-02-12T00:00:00Z")
    released = read_evidence(workspace.home, run, ReleaseEvidence)
    reader = ReleaseReader(workspace)
    found = read_policies(reader, reader.manifest(2), released, champion=1)
    assert (found.policies["utility"].version, found.champion["utility"].version) == ("2", "1")
    assert found.policies["slate"] == found.champion["slate"]
    assert found.reviewers == {"product": ("ana",), "safety": ("sam",)}
    assert read_policies(reader, reader.manifest(1), released, champion=None).champion == {}


def test_recipes_are_compared_task_by_task_and_what_was_lent_is_the_same(second_retrain: Retrained) -> None:
    reader = ReleaseReader(second_retrain.workspace)
    assert read_recipes(reader, 1, champion=None) is None
    pairs = {pair.ours.task: pair for pair in read_recipes(reader, 2, champion=1) or []}
    assert pairs.keys() == {*mini.TASKS}
    assert pairs["click_30m"].newer_by == 2
    assert all(pair.ours.recipe == pair.champion.recipe is not None for pair in pairs.values())
    assert pairs["click_30m"].ours.recipe != pairs["hide_2d"].ours.recipe


def test_where_nobody_tuned_there_is_no_front(second_retrain: Retrained) -> None:
    assert read_front(second_retrain.workspace, 2, champion=1) is None
