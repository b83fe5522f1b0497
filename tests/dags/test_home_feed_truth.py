"""The simulated feed, whose true probabilities are known: does a release's probability mean what it says?

::

    132 days of the feed -> one retrain by Airflow -> its release scores the seven days after its as-of
    predictions of those days   against   the truth that the simulation wrote down

Positions are logged at random with respect to what decides an outcome, so a prediction, which knows no position,
is held against the true probability at the position where the item stood.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from tasks.evaluation.resampling import LEAST_POSITIVES
from tasks.release import view as release_view
from tasks.stores.workspace import Workspace
from tests.dags.conftest import REPOSITORY, RetrainedFeed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore"),  # a step would fail by what Airflow's libraries say of one another
]

RARE = 100
"""Positives in the test slice below which a ratio is judged by its interval, not by its value."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fresh:
    """Fresh days scored by a release, the truth of the same rows, and the release's figures on its test slice."""

    workspace: Workspace
    scored: pd.DataFrame
    truth: pd.DataFrame
    figures: dict[str, dict[str, float]]

    def pair(self, task: str) -> tuple[Floats, Floats]:
        """Return prediction and true probability (or value) where the latter is defined."""
        kind = self.workspace.contracts.tasks.tasks[task].kind
        column = f"p_{task}" if kind == "binary" else f"v_{task}"
        true = self.truth[f"{column}__shown"].to_numpy(dtype=float)
        known = np.isfinite(true)
        return self.scored[column].to_numpy(dtype=float)[known], true[known]


@pytest.fixture(scope="module")
def fresh(home_feed: RetrainedFeed) -> Fresh:
    logs = home_feed.home / "logs" / "home_feed"
    workspace = Workspace.open("home_feed", surfaces=REPOSITORY / "surfaces", home=home_feed.home)
    release = home_feed.ended.result("gate")["release"]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        shown = connection.read_parquet(f"{logs}/impressions/*.parquet").filter(
            f"shown_at >= '{home_feed.as_of:%F}'"
        )
        true = connection.read_parquet(f"{logs}/truth.parquet").join(shown, "request_id, item_id", "semi")
        frame, truth = (table.order("request_id, item_id").df() for table in (shown, true))
    figures = release_view.show(workspace, release)["metrics"]
    return Fresh(
        workspace,
        release_view.load(workspace, release).score(frame),
        truth,
        {task: of["test"] for task, of in figures.items()},
    )


def _slope_of_truth(predicted: Floats, true: Floats) -> float:
    """Regress the true logits on the predicted ones."""
    x, y = (np.log(p / (1 - p)) for p in (predicted, true))
    return float(np.polyfit(x, y, 1)[0])


@pytest.mark.parametrize(
    ("task", "low", "high"),
    [
        ("click_30m", 0.9, 1.1),
        ("add_to_cart_1d", 0.9, 1.1),
        ("purchase_7d", 0.9, 1.1),
        ("hide_7d", 0.7, 1.3),
    ],
)
def test_the_true_logits_rise_with_the_predicted_ones_one_to_one(
    fresh: Fresh, task: str, low: float, high: float
) -> None:
    assert low <= _slope_of_truth(*fresh.pair(task)) <= high


def test_on_fresh_days_each_task_is_predicted_as_often_as_it_is_true(fresh: Fresh) -> None:
    ratios = {}
    for task, figures in fresh.figures.items():
        predicted, true = fresh.pair(task)
        if figures["positives"] >= RARE:
            ratios[task] = true.sum() / predicted.sum()
    assert len(ratios) >= 9
    assert all(0.9 <= ratio <= 1.1 for ratio in ratios.values()), ratios


def test_a_rare_task_is_right_within_its_interval_and_one_too_rare_for_that_within_twice_the_truth(
    fresh: Fresh,
) -> None:
    rare = {task: f for task, f in fresh.figures.items() if f["positives"] < RARE}
    assert "report_7d" in rare
    for task, figures in rare.items():
        if figures["positives"] >= LEAST_POSITIVES:
            assert figures["calibration_ratio_low"] <= 1 <= figures["calibration_ratio_high"], task
        else:
            predicted, true = fresh.pair(task)
            assert 0.5 <= true.sum() / predicted.sum() <= 2, task


def test_a_conditional_probability_is_joint_in_the_output(fresh: Fresh) -> None:
    joint, given = fresh.scored["p_return_30d"], fresh.scored["p_return_30d__given"]
    assert (joint < given).all()
    assert 0.1 < given.mean() < 0.4
    assert joint.mean() < 0.02
