"""What a batch loses, by hand: every objective, chains, offsets and labels that are not known."""

from typing import Any

import numpy as np
import pytest

from tasks.ranking.trunk import TrunkObjective
from tasks.trunks.network import Losses, category_size
from tasks.trunks.rows import TrunkTask
from tests.trunks.feeds import BUY, CLICK


def lose(
    tasks: tuple[TrunkTask, ...], out: Any, labels: Any, weights: Any = None, offsets: Any = 0.0, **own: Any
) -> Any:
    """Return the losses of rows, shape [tasks]; every row weighs 1 and the mean weight is 1 by default."""
    out, labels = (np.asarray(values, np.float32) for values in (out, labels))
    plain = {"center": np.zeros(len(tasks)), "scale": np.ones(len(tasks)), "weight": np.ones(len(tasks))}
    batch = {
        "labels": labels,
        "weights": np.ones_like(labels) if weights is None else np.asarray(weights, np.float32),
        "offsets": np.zeros_like(labels) + np.float32(offsets),
    }
    return np.asarray(Losses(tasks, **{**plain, **own})(out, batch))


def chance(log_odds: float) -> float:
    return 1 / (1 + np.exp(-log_odds))


def test_a_binary_task_loses_log_loss_with_the_offset_among_the_log_odds() -> None:
    lost = lose((CLICK,), [[0.4], [-1.0]], [[1], [0]], offsets=0.5)
    assert lost == pytest.approx([(-np.log(chance(0.9)) - np.log(1 - chance(-0.5))) / 2])


def test_a_child_loses_the_log_loss_of_the_joint_event() -> None:
    joint = chance(0.4) * chance(-1.0)
    assert lose((CLICK, BUY), [[0.4, -1.0]], [[1, 1]])[1] == pytest.approx(-np.log(joint))
    assert lose((CLICK, BUY), [[0.4, -1.0]], [[0, 0]])[1] == pytest.approx(-np.log(1 - joint))


def test_a_joint_event_that_is_all_but_certain_loses_a_finite_amount() -> None:
    assert np.isfinite(lose((CLICK, BUY), [[90.0, 90.0]], [[1, 0]])[1])


@pytest.mark.parametrize(
    ("objective", "parameter", "expected"),
    [
        ("l2", 0.0, 0.5 * (0.7 - 1.5) ** 2),  # the label (7 - 4) / 2 is 1.5
        ("quantile", 0.9, 0.9 * 0.8),
        ("tweedie", 1.5, 2 * np.exp(0.35) + 2 * 1.5 * np.exp(-0.35)),
    ],
)
def test_a_value_task_loses_its_own_loss_on_the_scale_of_its_labels(
    objective: TrunkObjective, parameter: float, expected: float
) -> None:
    task = TrunkTask("spend", objective=objective, parameter=parameter)
    lost = lose((task,), [[0.7]], [[7.0]], center=np.array([4.0]), scale=np.array([2.0]))
    assert lost == pytest.approx([expected])


@pytest.mark.parametrize("unknown", [np.nan, 777.0, np.inf])
def test_a_label_that_is_not_known_loses_nothing_whatever_it_holds(unknown: float) -> None:
    known = lose((CLICK,), [[0.4]], [[1]])
    lost = lose((CLICK,), [[0.4], [3.0]], [[1], [unknown]], [[1], [0]], weight=np.array([0.5]))
    assert lost == pytest.approx(known)


def test_a_category_has_an_embedding_that_grows_with_the_root_of_its_values() -> None:
    assert [category_size(values) for values in (1, 4, 100, 10_000)] == [2, 3, 11, 16]
