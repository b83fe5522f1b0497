"""What two real releases were made of."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.contracts.gates import ModelGate
from tasks.evaluation.release_evidence import ReleaseEvidence
from tasks.evaluation.subjects import ALL, Segment
from tasks.evaluation.verdicts import Estimate, Outcome, Verdict
from tasks.promotion.gates.gains import RecipePair, SameDay, evaluate_recipes
from tasks.promotion.provenance import (
    read_front,
    read_lineage,
    read_past_gains,
    read_policies,
    read_recipes,
)
from tasks.release.view import ReleaseReader
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace, write_report
from tasks.training import step as train
from tasks.training.rows import TaskRows, read_labels
from tasks.training.same_day import SameDayEvidence
from tasks.training.trees import predict_rows, read_model
from tests.feeds import mini
from tests.feeds.mini import Retrained
from tests.promotion.moves.test_rules import a_case
from tests.verdicts import bound, subject

DWELL = "dwell_seconds_1d"


def _write_dossier(workspace: Workspace, release: int, *gained: tuple[str, Segment, Outcome, float]) -> None:
    """Write what a release gained: subject, segment, outcome and figure."""
    verdicts = tuple(
        Verdict(
            "model",
            subject(name),
            segment,
            outcome,
            bound(""),
            Estimate(value, value - 0.01, value + 0.01, 90),
        )
        for name, segment, outcome, value in gained
    )
    evidence = a_case(surface=workspace.surface, release=release, verdict="hold", gates=verdicts).gate
    write_report(workspace, f"dossier-release-{release}.json", json.dumps(evidence.to_json()))


def test_past_gains_are_read_from_the_dossiers_of_earlier_releases(tmp_path: Path) -> None:
    workspace = Workspace.open(mini.NAME, surfaces=mini.SURFACES, home=tmp_path)
    fall = "click.normalized_entropy_fall"
    week = (fall, ALL, Outcome.PASS, 0.002)
    _write_dossier(workspace, 1, week, (fall, Segment("tenure", "new"), Outcome.PASS, 0.5))
    _write_dossier(workspace, 2, (fall, ALL, Outcome.BLOCK, 0.15))
    _write_dossier(workspace, 4, (fall, ALL, Outcome.INCONCLUSIVE, 0.01), ("click.auc", ALL, Outcome.PASS, 1))
    write_report(workspace, "dossier-release-3.json", "{}")
    _write_dossier(workspace, 5, week)
    assert read_past_gains(workspace, 5) == {subject(fall): [0.002, 0.01]}
    assert read_past_gains(workspace, 1) == {}


def test_the_lineage_of_a_release_names_the_labels_of_every_part_that_learned(
    second_retrain: Retrained,
) -> None:
    lineage = read_lineage(ReleaseReader(second_retrain.workspace), 2)
    assert lineage.problems == []
    assert lineage.files > len(lineage.manifest.files)
    own = {name for name, (id_, _) in lineage.labels.items() if id_ == lineage.manifest.snapshot.id}
    assert own == {f"{mini.NAME}.{kind}.click_30m" for kind in ("task", "calibrator")}
    assert len(lineage.labels) >= 2 * len(mini.TASKS)


def test_policies_are_read_with_the_champions_and_those_who_may_answer(second_retrain: Retrained) -> None:
    workspace = second_retrain.workspace
    (run, *_) = mini.step_runs(workspace, "release", as_of="2026-02-12T00:00:00Z")
    released = workspace.store.runs.read_evidence(run, ReleaseEvidence)
    reader = ReleaseReader(workspace)
    found = read_policies(reader, reader.manifest(2), released, champion=1)
    assert (found.policies["utility"].version, found.champion["utility"].version) == ("2", "1")
    assert found.policies["slate"] == found.champion["slate"]
    assert found.reviewers == {"product": ("ana",), "safety": ("sam",)}
    assert found.lost_constraints == ()
    assert read_policies(reader, reader.manifest(1), released, champion=None).champion == {}


def test_recipes_are_compared_task_by_task_and_what_was_lent_is_the_same(second_retrain: Retrained) -> None:
    reader = ReleaseReader(second_retrain.workspace)
    assert read_recipes(reader, 1, champion=None) is None
    pairs = {pair.task: pair for pair in read_recipes(reader, 2, champion=1) or []}
    assert pairs.keys() == {*mini.TASKS}
    assert pairs["click_30m"].newer_by == 2
    assert all(pair.recipe == pair.champion_recipe is not None for pair in pairs.values())
    assert pairs["click_30m"].recipe != pairs["hide_2d"].recipe


def test_where_nobody_tuned_there_is_no_front(second_retrain: Retrained) -> None:
    assert read_front(second_retrain.workspace, 2, champion=1) == (None, "")


def test_a_changed_recipe_of_a_value_is_held_against_the_champions_by_squared_error(
    second_retrain: Retrained, tmp_path: Path
) -> None:
    """The champion's recipe is trained as well: by hand, both have the errors that the comparison says."""

    def shallow(plain: dict[str, Any]) -> None:
        plain["lightgbm"][DWELL] = {**plain["lightgbm"]["default"], "num_leaves": 2}

    there = second_retrain.workspace
    home = Path(shutil.copytree(there.home, tmp_path / "home"))
    alone = Workspace.open(mini.NAME, surfaces=there.surfaces, home=home)
    changed = mini.changed(alone, tmp_path, surface=shallow)
    snapshot = alone.releases.manifest(2).snapshot.id
    new, old = (
        train.run(of, task=DWELL, as_of=mini.LATER, snapshot=snapshot).version for of in (changed, alone)
    )
    (run,) = mini.step_runs(changed, "same_day", task=DWELL)
    found = Store.open(home).runs.read_evidence(run, SameDayEvidence).comparison
    assert found is not None
    rows = TaskRows.open(changed, task=DWELL, as_of=mini.LATER, snapshot=snapshot)
    before = rows.slices.calibrate
    known = read_labels(rows.report(before), DWELL)

    def error(version: int) -> float:
        registry = Store.open(home).registry
        model = read_model(registry.files(registry.part(f"{mini.NAME}.task.{DWELL}", version)))
        factor = known.sum() / predict_rows(rows, before, *model).sum()
        predicted = factor * predict_rows(rows, rows.slices.test, *model)
        return float(np.sum((read_labels(rows.test, DWELL) - predicted) ** 2))

    constant = float(np.sum((read_labels(rows.test, DWELL) - known.mean()) ** 2))
    rise = (error(new) - error(old)) / constant
    pair = RecipePair(DWELL, "ours", "theirs", 0, SameDay(found, "", run))
    whole, *segments = evaluate_recipes(ModelGate(), [pair])
    assert (str(whole.subject), whole.evidence) == (
        f"{DWELL}.relative_squared_error_rise vs the champion's recipe",
        run,
    )
    assert whole.observed is not None
    assert rise != 0
    assert whole.observed.value == pytest.approx(rise)
    assert {one.segment.column for one in found.segments} == {"user_tenure", "item_age"}
    assert segments
