"""What a task's scores are mapped by where its calibrate rows tell little, nothing, or one thing only."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.calibration.fit import LOGISTIC_BELOW
from tasks.calibration.task_map import fit_map, read_segment_columns
from tasks.errors import DataError, ImmatureLabels
from tasks.evaluation.evidence import MapKind
from tasks.ranking.maps import IdentityMap
from tasks.ranking.segmented_map import apply_calibrator
from tasks.stores.workspace import Workspace
from tasks.training.rows import TaskRows, read_labels
from tests.feeds.small_feed import AS_OF, NAME, SURFACE, write_contracts

Feed = tuple[Workspace, str]
TRAINING = """
training: {spend_2d: {objective: quantile, quantile: 0.9}, click_1d: {objective: lambdarank}}
"""
CALIBRATED = ("click_1d", "back_2d", "spend_2d")


def opened(feed: Feed, task: str) -> tuple[TaskRows, pa.Table]:
    rows = TaskRows.open(feed[0], task=task, as_of=AS_OF, snapshot=feed[1])
    return rows, rows.read_for_report(rows.slices.calibrate)


@pytest.mark.parametrize("task", CALIBRATED)
@pytest.mark.parametrize("tested", [None, "global"])
def test_a_slice_without_a_positive_is_a_matter_of_time_and_names_its_days(
    labelled_feed: tuple[Workspace, str], task: str, tested: MapKind | None
) -> None:
    rows, table = opened(labelled_feed, task)
    first, last = rows.slices.calibrate.to_json()
    words = (
        rf"'{task}' cannot be calibrated: .* {first} to {last} has 0 .* in {len(table)} .* split\.calibrate"
    )
    with pytest.raises(ImmatureLabels, match=words):
        fit_map(rows, table, np.full(len(table), 0.1), np.zeros(len(table)), tested=tested)


@pytest.mark.parametrize("task", CALIBRATED)
def test_a_slice_without_a_row_is_a_matter_of_time(labelled_feed: tuple[Workspace, str], task: str) -> None:
    rows, table = opened(labelled_feed, task)
    with pytest.raises(ImmatureLabels, match=r"has 0 .* in 0 observed rows"):
        fit_map(rows, table.slice(0, 0), np.array([]), np.array([]), tested=None)


def test_a_slice_of_positives_alone_tells_no_more(labelled_feed: tuple[Workspace, str]) -> None:
    rows, table = opened(labelled_feed, "click_1d")
    with pytest.raises(ImmatureLabels, match="needs both outcomes"):
        fit_map(rows, table, np.full(len(table), 0.1), np.ones(len(table)), tested=None)


def test_values_that_add_up_to_less_than_nothing_have_no_map_of_means(
    labelled_feed: tuple[Workspace, str],
) -> None:
    rows, table = opened(labelled_feed, "spend_2d")
    values = np.where(np.arange(len(table)) == 0, -5.0, 0.0)
    with pytest.raises(DataError, match=r"has values that add up to -5, .* Clip the value in tasks\.yaml"):
        fit_map(rows, table, np.ones(len(table)), values, tested=None)


@pytest.mark.parametrize("task", CALIBRATED)
def test_scores_that_are_all_equal_get_the_mean_outcome(
    labelled_feed: tuple[Workspace, str], task: str
) -> None:
    rows, table = opened(labelled_feed, task)
    scores, outcomes = np.full(len(table), 0.3), read_labels(table, task)
    fitted, _ = fit_map(rows, table, scores, outcomes, tested=None)
    mapped = apply_calibrator(fitted, scores, read_segment_columns(rows, table))
    assert mapped.mean() == pytest.approx(
        outcomes.mean(), rel=0.01 if outcomes.sum() >= LOGISTIC_BELOW else 0.1
    )


@pytest.mark.parametrize("task", ["spend_2d", "click_1d"])
def test_a_quantile_and_an_order_need_no_map_whatever_the_slice_holds(
    labelled_feed: tuple[Workspace, str], tmp_path: Path, task: str
) -> None:
    surfaces = write_contracts(tmp_path, surface=SURFACE + TRAINING, utility=_UTILITY)
    asked = Workspace.open(NAME, surfaces=surfaces, home=labelled_feed[0].home)
    rows, table = opened((asked, labelled_feed[1]), task)
    assert fit_map(rows, table.slice(0, 0), np.array([]), np.array([]), tested=None) == (IdentityMap(), None)


_UTILITY = """
policy: small-feed-utility
version: 1
owner: tests
approvals: [product]
weights: {buy_2d: 10.0, back_2d: -5.0}
guardrails: [{metric: back_2d_rate, relative_increase_max: 0.05, action: block}]
"""
