"""A surface with a shared trunk in Airflow: a step beside the trees, which the calibration waits for."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.dags.conftest import Start, parse, steps_of, write_surface

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


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore")  # a step would fail by what Airflow's libraries say of one another
def test_a_surface_with_a_trunk_is_retrained_whole(start: Start, tmp_path: Path) -> None:
    from tasks.datasets.world.generate import generate
    from tasks.stores.manifest import Role
    from tasks.stores.releases import release_manifest
    from tests.feeds import mini

    generate(days=mini.DAYS, requests_per_day=mini.REQUESTS_PER_DAY, seed=mini.SEED, out=tmp_path / "world")
    asked = mini.with_log(mini.write_contracts(tmp_path / "all"), tmp_path / "world", tmp_path)
    changes = {"tasks": mini.two_tasks, "surface": mini.surface_with_trunk, "utility": mini.utility_of_two}
    workspace = mini.changed(asked, tmp_path, **changes)
    ended = start(
        f"{mini.NAME}__retrain",
        surfaces=workspace.surfaces,
        home=workspace.home,
        as_of=mini.AS_OF.isoformat(),
    )
    assert (ended.state, set(ended.steps.values())) == ("success", {"success"})
    assert ("train_trunk", "feed") in ended.steps
    manifest = release_manifest(workspace, ended.result("gate")["release"])
    assert [part.name for part in manifest.parts if part.role is Role.TRUNK] == ["home_feed.trunk.feed"]
