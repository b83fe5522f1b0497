"""A surface with a shared trunk in Airflow: a step beside the trees, which the calibration waits for."""

from types import SimpleNamespace

import pytest

from tests.dags.conftest import parse, steps_of, write_surface

TRUNK = """
trunks: {feed: {tasks: [click_30m, purchase_7d]}}
models: {default: best}
"""


@pytest.fixture(scope="module")
def with_trunk(airflow_home: object, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("surfaces")
    write_surface(root, "feed", more=TRUNK)
    return parse(root)


@pytest.mark.parametrize("workflow", ["retrain", "retrain_slow"])
def test_a_trunk_is_trained_beside_the_trees_and_before_the_calibration(
    with_trunk: SimpleNamespace, workflow: str
) -> None:
    steps = steps_of(with_trunk.dags[f"feed__{workflow}"])
    assert steps["train_trunk"].op_kwargs_expand_input.value == {"trunk_name": ["feed"]}
    assert "validate" in steps["train_trunk"].upstream_task_ids
    assert "train_trunk" not in steps["models.train"].upstream_task_ids
    assert {"models.train", "train_trunk"} <= steps["models.calibrate"].upstream_task_ids


def test_a_surface_without_trunks_has_no_such_step(bag: SimpleNamespace) -> None:
    assert "train_trunk" not in steps_of(bag.dags["feed__retrain"])
