"""Trees of a real cluster of two workers, each a process: the model, a worker that is killed, and refusals."""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest
from distributed import Client, LocalCluster

from tasks.errors import ContractError, StoreError
from tasks.pipeline import retrain
from tasks.stores.manifest import BOOSTER, Role
from tasks.stores.steps import Code
from tasks.stores.workspace import Workspace
from tasks.training import cluster
from tasks.training import step as train
from tasks.training.draw_examples import draw_training_rows
from tasks.training.evidence import TrainingEvidence
from tasks.training.examples import ClusterFeatures, Examples, StoredFeatures
from tasks.training.fit import Fitted, Learning, fit_head
from tasks.training.rows import TaskRows
from tasks.training.step import TrainResult
from tests.feeds import mini, small_feed

pytestmark = [
    pytest.mark.xdist_group("dask"),
    # said by Dask, of sockets and threads of its own
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
TASK = "buy_2d"


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Start two workers of one thread; one that ends is started anew."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as running:
        yield running.scheduler_address


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory, scheduler: str) -> tuple[Workspace, str]:
    return on_cluster(small_feed.small_feed(tmp_path_factory.mktemp("feed")), scheduler)


def on_cluster(feed: tuple[Workspace, str], scheduler: str, **changed: str) -> tuple[Workspace, str]:
    """Return the feed under contracts that train on a cluster."""
    workspace, snapshot = feed
    surface = small_feed.SURFACE.replace(changed.get("found", "-"), changed.get("edit", "-"))
    engine = f"training: {{engine: dask, scheduler: '{scheduler}'}}\n"
    small_feed.write_contracts(workspace.surfaces, surface=surface + engine)
    there = Workspace.open(small_feed.NAME, surfaces=workspace.surfaces, home=workspace.home)
    return there, snapshot


def trained(feed: tuple[Workspace, str]) -> TrainResult:
    return train.run(feed[0], task=TASK, as_of=small_feed.AS_OF, snapshot=feed[1])


def rows_of(feed: tuple[Workspace, str], engine: str) -> TaskRows:
    rows = TaskRows.open(feed[0], task=TASK, as_of=small_feed.AS_OF, snapshot=feed[1])
    surface = rows.workspace.contracts.surface
    training = {TASK: surface.training_for(TASK).model_copy(update={"engine": engine})}
    changed = surface.model_copy(update={"training": training})
    return replace(rows, workspace=feed[0].under(replace(feed[0].contracts, surface=changed)))


def fitted(examples: Examples, start: lgb.Booster | None = None, **parameters: float) -> Fitted:
    few = {"num_leaves": 7, "rounds": 40, "early_stopping_rounds": 10, **parameters}
    return fit_head(examples, Learning(parameters=few, monotone={"price": 1}), start=start, threads=1)


@pytest.fixture(scope="module")
def both(feed: tuple[Workspace, str]) -> tuple[Examples, Examples]:
    """Return the same examples to be learned on the cluster, and in this process: negatives are sampled."""
    there, here = (draw_training_rows(rows_of(feed, engine)).examples for engine in ("dask", "local"))
    return there, here


def matrix(examples: Examples) -> npt.NDArray[Any]:
    assert isinstance(examples.features, StoredFeatures)
    return examples.features[:]


def predicted(model: Fitted, examples: Examples) -> Any:
    return model.booster.predict(matrix(examples))


def test_the_model_is_registered_as_any_other_and_found_again(feed: tuple[Workspace, str]) -> None:
    first, again = trained(feed), trained(feed)
    registry = feed[0].store.registry
    text = registry.files(registry.part(first.model, first.version))[BOOSTER].decode()
    assert (again.version, again.reused) == (first.version, True)
    assert "\n[machines: ]\n" in text
    assert "127.0.0.1" not in text
    evidence = registry.runs.read_evidence(first.run_id, TrainingEvidence)
    assert evidence.parameters["engine"] == "dask"


def test_the_engine_makes_another_version_and_the_clusters_address_none(
    tmp_path: Path, scheduler: str
) -> None:
    local = small_feed.small_feed(tmp_path)
    first = trained(local)
    there = on_cluster(local, scheduler)
    elsewhere = on_cluster(local, scheduler.replace("127.0.0.1", "localhost"))
    assert [trained(feed).version for feed in (there, elsewhere)] == [first.version + 1] * 2


def test_it_predicts_what_the_model_of_one_machine_predicts(both: tuple[Examples, Examples]) -> None:
    there, here = both
    cluster_model, local = fitted(there), fitted(here)
    ours, theirs = (predicted(model, here) for model in (cluster_model, local))
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.03)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.95
    assert cluster_model.fold_loss == pytest.approx(local.fold_loss, rel=0.02)
    assert 0 < cluster_model.rounds < 40


def test_weights_bounds_and_categories_are_those_of_the_contract(both: tuple[Examples, Examples]) -> None:
    here = both[1]
    weights = np.where(here.labels > 0, 3.0, 1.0)
    ours, theirs = (fitted(replace(of, weights=weights)) for of in both)
    assert predicted(ours, here).mean() == pytest.approx(predicted(theirs, here).mean(), rel=0.03)
    row = np.tile(matrix(here)[0], (50, 1))
    row[:, 0] = np.linspace(0, 1, 50)
    assert (np.diff(ours.booster.predict(row)) >= 0).all()
    assert ours.splits["category"] > 0


def test_trees_are_added_to_a_booster_whose_scores_the_workers_start_from(
    both: tuple[Examples, Examples],
) -> None:
    there, here = both
    start = fitted(here, rounds=5).booster
    longer = fitted(there.without_fold(), start, rounds=5)
    assert (longer.booster.num_trees(), longer.rounds, longer.fold_loss) == (10, 5, None)
    whole = fitted(here.without_fold(), start, rounds=5)
    assert np.corrcoef(predicted(longer, here), predicted(whole, here))[0, 1] > 0.99


def test_a_killed_worker_is_a_store_error_and_the_step_runs_again(tmp_path: Path, scheduler: str) -> None:
    few = small_feed.small_feed(tmp_path)
    endless = "rounds: 10000, early_stopping_rounds: 1000"
    feed = on_cluster(few, scheduler, found="rounds: 40, early_stopping_rounds: 10", edit=endless)
    killer = Thread(target=kill_one_that_trains, args=(scheduler,))
    killer.start()
    with pytest.raises(StoreError, match=r"worker tcp://\S+ left\. No model was registered"):
        trained(feed)
    killer.join()
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    assert feed[0].store.registry.versions(train.model_name(small_feed.NAME, TASK)) == ()
    assert trained(on_cluster(few, scheduler)).version == 1


def kill_one_that_trains(scheduler: str) -> None:
    with Client(scheduler, set_as_default=False) as client:
        processes = client.run(os.getpid)
        while True:
            busy = client.processing()
            if all(any("_train_part" in str(key) for key in busy.get(worker, ())) for worker in processes):
                os.kill(next(iter(processes.values())), signal.SIGKILL)
                return


def test_a_cluster_that_is_not_there_is_a_store_error(
    both: tuple[Examples, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_ANSWERS", "1s")
    features = both[0].features
    assert isinstance(features, ClusterFeatures)
    nowhere = replace(both[0], features=replace(features, scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(StoreError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9 within 1s"):
        fitted(nowhere)


def test_workers_of_another_version_are_refused(
    both: tuple[Examples, Examples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "CODE", Code(Path(__file__).parent))
    with pytest.raises(StoreError, match="have another version of this program"):
        fitted(both[0])


def test_without_dask_a_retrain_is_refused_and_the_extra_named(
    feed: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LIBRARIES", ("dask", "no_such_library"))
    with pytest.raises(ContractError, match=r"engine: dask, and no_such_library is not installed.*DASK=1"):
        cluster.require_dask(feed[0].contracts)


@pytest.mark.e2e
def test_a_whole_retrain_calibrates_and_judges_the_clusters_models(
    mini_world: Path, mini_surfaces: Path, tmp_path: Path, scheduler: str
) -> None:
    def there(plain: dict[str, Any]) -> None:
        mini.surface_of_two(plain)
        plain["training"] = {"engine": "dask", "scheduler": scheduler}

    asked = mini.with_log(mini_surfaces, mini_world, tmp_path)
    changes = {"tasks": mini.two_tasks, "surface": there, "utility": mini.utility_of_two}
    workspace = mini.changed(asked, tmp_path, **changes)
    result = retrain(workspace, as_of=mini.AS_OF)
    parts = workspace.releases.manifest(result.release).parts
    calibrated = {part.task for part in parts if part.role is Role.CALIBRATOR}
    runs = [mini.first_evidence(workspace, "train", task=task) for task in mini.TWO]
    assert [run["parameters"]["engine"] for run in runs] == ["dask", "dask"]
    assert calibrated == {*mini.TWO}
    assert result.verdict in {"promote", "hold"}
    assert {gate["gate"] for gate in result.gates} >= {"model", "calibration"}
