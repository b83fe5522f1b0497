"""The smallest production plan, retrained on a simulated feed whose true probabilities are known.

Against the log's own order the plan's slates sell far more. They also hold more of the feed's bait, which people
click and then hide or report: by the truth reports rise beyond their bound.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.datasets.world.generate import Extras, generate
from tasks.labels import build as labels
from tasks.monitoring import monitor
from tasks.pipeline import RetrainResult, retrain
from tasks.release import view
from tasks.stores.workspace import Workspace
from tests.feeds import mini
from tests.monitoring.served_log import series
from tests.stores.mlflow_home import new_home
from tests.verdicts import segment_of, subject_of

pytestmark = pytest.mark.e2e

NAME = "minimal"
AS_OF = mini.FIRST + timedelta(days=46)
LATER = AS_OF + timedelta(days=9)
TEST = (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 8, tzinfo=UTC))
CHANGES = ("purchase_7d", "hide_7d", "report_7d")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    home = new_home(tmp_path_factory.mktemp(NAME) / "home")
    out, extras = home / "logs" / NAME, Extras(candidate_truth=True)
    generate(days=55, requests_per_day=500, seed=3, out=out, extras=extras)
    return Workspace.open(NAME, surfaces=mini.SURFACES, home=home)


@pytest.fixture(scope="module")
def retrained(workspace: Workspace) -> RetrainResult:
    return retrain(workspace, as_of=AS_OF)


@pytest.fixture(scope="module")
def true_changes(workspace: Workspace, retrained: RetrainResult) -> dict[str, float]:
    """Return by how much the release's slates change each true rate per examined impression of the test slice."""
    logs = Path(str(workspace.logs)) / NAME
    candidates = pq.read_table(logs / "candidates").to_pandas()
    candidates = candidates[candidates["shown_at"].between(*TEST, inclusive="left")]
    scored = view.load(workspace, retrained.release).score(candidates)[
        ["request_id", "item_id", "slate_position"]
    ]
    truth = pq.read_table(logs / "candidate_truth.parquet").to_pandas()
    rows = candidates[["request_id", "item_id", "position"]].merge(scored).merge(truth)
    return {task: _rate(rows, "slate_position", task) / _rate(rows, "position", task) - 1 for task in CHANGES}


def _rate(rows: pd.DataFrame, place: str, task: str) -> float:
    slots = rows[rows[place] <= 10]
    curve = np.array([1.0, 0.92, 0.84, 0.77, 0.71, 0.66, 0.61, 0.57, 0.53, 0.5])
    looks = curve[slots[place].to_numpy(dtype=int) - 1]
    return float((looks * slots[f"p_{task}"]).sum() / looks.sum())


def test_the_release_passes_both_primaries_and_is_held_for_its_hides(retrained: RetrainResult) -> None:
    whole = {subject_of(g): g["outcome"] for g in retrained.gates if segment_of(g) == "all"}
    assert (whole["purchase_7d_rate"], whole["ndcg_click_30m"], whole["coverage"]) == ("pass", "pass", "pass")
    assert (whole["hide_7d_rate"], whole["report_7d_rate"]) == ("inconclusive", "inconclusive")
    assert "report_7d_predicted" not in whole  # no model of it is trained
    assert retrained.verdict == "hold"
    assert [reason.split()[1] for reason in retrained.reasons] == ["hide_7d"]


def test_by_the_truth_purchases_rise_as_measured_and_reports_beyond_their_bound(
    workspace: Workspace, retrained: RetrainResult, true_changes: dict[str, float]
) -> None:
    measured = {subject_of(g): g["observed"] for g in retrained.gates if segment_of(g) == "all"}
    assert min(true_changes["purchase_7d"], measured["purchase_7d_rate"]["low"]) > 0.5
    hidden = measured["hide_7d_rate"]
    assert hidden["low"] < true_changes["hide_7d"] < hidden["high"]
    bounds = {rail.metric: rail.relative_increase_max or 0 for rail in workspace.contracts.utility.guardrails}
    assert 0 < true_changes["hide_7d"] < bounds["hide_7d_rate"]
    assert true_changes["report_7d"] > bounds["report_7d_rate"]


def test_the_four_series_are_monitored_of_the_whole_and_by_segment(
    workspace: Workspace, retrained: RetrainResult
) -> None:
    mini.set_champion(workspace, retrained.release)
    labels.run(workspace, as_of=LATER)
    monitor.run(workspace, as_of=LATER)
    read = series(workspace)
    rows = {*zip(read["metric"], read["segment"].fillna(""), strict=True)}
    assert set(workspace.contracts.surface.monitor.critical) <= {metric for metric, _ in rows}
    assert {("calibration_ratio", "source"), ("calibration_ratio", "category")} <= rows
