"""Heads that share a trunk: alone, blended with their trees, and where their items stand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.errors import StoreError
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.heads import Head, Heads
from tasks.ranking.maps import LogisticMap
from tasks.ranking.trunk import GRID, KNOTS, POSITION_HEAD, TrunkModel, TrunkShape
from tests.ranking.test_heads import ENCODER, PRICED, constant, logit
from tests.ranking.test_heads_where_shown import PLACED, placed_by_feature, weighed

PRICES = np.array([1.0, 2.0, 3.0, 4.0])


class CountingTrunk(TrunkModel):
    calls = 0

    def log_odds(self, frame: pd.DataFrame, **given: Any) -> dict[str, np.ndarray]:
        type(self).calls += 1
        return super().log_odds(frame, **given)


def trunk(**levels: float) -> CountingTrunk:
    """Return a network whose output of each task is the price and a level, and 1 less further down a page."""
    tasks = len(levels)
    knots = np.array([[0.0, 10.0]])
    weights = {
        KNOTS: knots,
        GRID: knots,
        "expert.0.weight": np.array([[[1.0], [0.0]]]).transpose(1, 0, 2).astype(np.float32),
        "expert.0.bias": np.zeros((1, 1, 1), np.float32),
        "head.weight": np.ones((1, tasks), np.float32),
        "head.bias": np.array([*levels.values()], np.float32),
        POSITION_HEAD: np.array([[0.0] * tasks, [0.0] * tasks, [-1.0] * tasks], np.float32),
    }
    shape = TrunkShape("shared_bottom", dict.fromkeys(levels, "binary"), (1,), ())
    return CountingTrunk(shape, FeatureEncoder(("price",), {}), weights)


def with_trunk(task: str, model: TrunkModel, *, blended: bool, p: float = 0.5, **more: Any) -> Head:
    return Head(task, "binary", constant(p), ENCODER, None, trunk=model, blended=blended, **more)


def expit(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_a_head_predicts_by_the_trunk_alone_or_by_the_mean_of_both_log_odds() -> None:
    shared = trunk(click=-2.0, buy=-4.0)
    heads = Heads(
        {
            "click": with_trunk("click", shared, blended=False),
            "buy": with_trunk("buy", shared, blended=True, p=0.2),
        }
    )
    predictions = heads.predict(PRICED)
    np.testing.assert_allclose(predictions["p_click"], expit(PRICES - 2), rtol=1e-6)
    np.testing.assert_allclose(predictions["p_buy"], expit((PRICES - 4 + logit(0.2)) / 2), rtol=1e-6)


def test_heads_that_share_a_trunk_compute_it_once() -> None:
    shared = trunk(click=-2.0, buy=-4.0)
    heads = {task: with_trunk(task, shared, blended=False) for task in ("click", "buy")}
    CountingTrunk.calls = 0
    Heads(heads).predict(PRICED)
    assert CountingTrunk.calls == 1


def test_the_calibrator_maps_the_scores_of_the_blend() -> None:
    doubled = LogisticMap(slope=1.0, intercept=np.log(2))
    head = replace(with_trunk("click", trunk(click=-2.0), blended=True), calibrator=doubled)
    odds = 2 * np.exp((PRICES - 2) / 2)
    np.testing.assert_allclose(
        Heads({"click": head}).predict(PRICED)["p_click"], odds / (1 + odds), rtol=1e-6
    )


def test_a_child_given_its_parent_is_multiplied_along_the_chain() -> None:
    shared = trunk(buy=-4.0, back=-3.0)
    back = with_trunk("back", shared, blended=False, parent="buy")
    heads = Heads({"buy": with_trunk("buy", shared, blended=False), "back": back})
    predictions = heads.predict(PRICED)
    np.testing.assert_allclose(predictions["p_back__given"], expit(PRICES - 3), rtol=1e-6)
    np.testing.assert_allclose(predictions["p_back"], expit(PRICES - 4) * expit(PRICES - 3), rtol=1e-6)


def test_where_an_item_stands_the_trunk_is_moved_by_what_it_learned_of_positions() -> None:
    """The second position and those beyond it are 1 below the first in log odds; the trees have .4 or .1."""
    blend = replace(placed_by_feature(), trunk=trunk(click=-2.0), blended=True)
    said = Heads({"click": blend}).predict(PLACED)
    np.testing.assert_allclose(said["p_click"], expit((PRICES - 2 + logit(0.4)) / 2), rtol=1e-6)
    trees, moved = np.array([logit(0.4), logit(0.4), logit(0.1)]), np.array([0.0, -1.0, -1.0])
    np.testing.assert_allclose(
        said["p_click__shown"], [*expit((PRICES[:3] - 2 + moved + trees) / 2), np.nan], rtol=1e-6
    )


def test_a_head_that_is_weighed_by_looks_is_moved_by_them_alone() -> None:
    head = replace(weighed("click", 0.5), trunk=trunk(click=-4.0))
    said = Heads({"click": head}).predict(PLACED)
    np.testing.assert_allclose(said["p_click__shown"][:3], expit(PRICES[:3] - 4) * [1, 0.5, 0.25], rtol=1e-6)


def test_a_trunk_s_columns_are_needed_and_a_task_that_it_lacks_is_refused() -> None:
    shared = trunk(click=-2.0)
    assert with_trunk("click", shared, blended=True).columns == {"price", "aisle"}
    with pytest.raises(StoreError, match="Unknown task 'buy' in the shared trunk"):
        with_trunk("buy", shared, blended=True)
