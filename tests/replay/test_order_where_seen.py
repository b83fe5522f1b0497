"""An order is measured by where the log showed things: two equally good rankers, of which one wrote the log.

::

    page     five places, looked at less and less, filled by the scores of the logger
    logger   what an item is worth and some noise
    rival    what it is worth and as much noise of its own
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.calibration import step as calibrate
from tasks.evaluation.ranking_metrics import request_gains
from tasks.evaluation.verdicts import Estimate
from tasks.labels.store import LabelStore
from tasks.ranking.examination import Examination
from tasks.ranking.scoring import Scorer
from tasks.release.parts import Pins, Trained, pin_examination, pin_tasks, release_files
from tasks.release.release_days import ReleaseDays, read_examination
from tasks.stores.workspace import Workspace
from tasks.training import debiasing, examination
from tasks.training import step as train
from tasks.training.rows import TaskRows
from tasks.training.slices import plan_slices
from tests.evaluation.task_figures import of_all_rows
from tests.feeds.small_feed import (
    AS_OF,
    CANDIDATES,
    CLICKS_AND_PURCHASES,
    NAME,
    SURFACE,
    labelled,
    write_contracts,
    write_logs,
)
from tests.stores.plain_evidence import read_plain

LOOKS = (1.0, 0.6, 0.4, 0.25, 0.15)
LEARNED = SURFACE.replace("[price, age]", "[price, age, logger, rival]")
ORDERED = LEARNED + "training: {click_1d: {objective: lambdarank}}\n"
DECLARED = ORDERED + f"examination: {{by_position: {list(LOOKS)}}}\n"
UTILITY = """
policy: small-feed-utility
version: 1
owner: tests
approvals: [product]
weights: {buy_2d: 10.0}
guardrails: []
"""
Feed = tuple[Workspace, str]


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    return _feed(tmp_path_factory.mktemp("seen"), DECLARED)


def _feed(folder: Path, surface: str) -> Feed:
    write_contracts(folder / "surfaces", surface=surface, tasks=CLICKS_AND_PURCHASES, utility=UTILITY)
    logs = folder / "home/logs"
    write_logs(logs, requests_a_day=150)
    _lay_out(logs / NAME)
    return labelled(folder)


def _lay_out(logs: Path) -> None:
    """Place every request's items by the logger's scores, and take out what came of those not looked at."""
    random = np.random.default_rng(11)
    impressions = pq.read_table(logs / "impressions/a.parquet")
    category = np.array(impressions.column("category").to_pylist())
    worth = 3 * impressions.column("price").to_numpy() + (category == "b")
    logger, rival = (worth + 0.8 * random.normal(size=len(worth)) for _ in range(2))
    places = np.argsort(np.argsort(-logger.reshape(-1, CANDIDATES), axis=1), axis=1).ravel()
    for name, values in (("logger", logger), ("rival", rival), ("position", places + 1)):
        impressions = impressions.append_column(name, pa.array(values))
    examination = random.random(len(worth)) < np.array(LOOKS)[places]
    seen = set(np.array(impressions.column("item_id").to_pylist())[examination])
    events = pq.read_table(logs / "events/a.parquet")
    kept = [item in seen for item in events.column("item_id").to_pylist()]
    pq.write_table(impressions, logs / "impressions/a.parquet")
    pq.write_table(events.filter(pa.array(kept)), logs / "events/a.parquet")


def _ranked(feed: Feed, ranker: str) -> dict[str, Estimate]:
    """Measure the order of a feature on the test days of clicks."""
    rows = TaskRows.open(feed[0], task="click_1d", as_of=AS_OF, snapshot=feed[1])
    table = rows.read_outcomes(rows.slices.test, [ranker, "position"])
    examined = debiasing.ranking_examination(rows, table)
    return rows.measured(table.column(ranker).to_numpy(), examination=examined).whole()


def test_two_equally_good_rankers_read_equal_with_examination_and_not_without(feed: Feed) -> None:
    logger, rival = (_ranked(feed, ranker) for ranker in ("logger", "rival"))
    assert logger["ndcg"].low < rival["ndcg"].value < logger["ndcg"].high
    assert logger["naive_ndcg"].low > rival["naive_ndcg"].high


def test_positions_of_which_the_surface_says_nothing_leave_the_naive_figure_alone(tmp_path: Path) -> None:
    found = _ranked(_feed(tmp_path, ORDERED), "rival")
    assert not found["ndcg"].known
    assert found["naive_ndcg"].known


def test_training_and_the_release_weigh_an_order_by_the_pinned_curve(feed: Feed) -> None:
    workspace, snapshot = feed
    registry, labels = workspace.store.registry, LabelStore(workspace.store, NAME).snapshot(snapshot)
    slices = plan_slices(workspace.contracts, AS_OF, labels.days().column("ds").to_pylist()).tasks
    evaluation, pins = ReleaseDays(workspace, labels, slices), _pins(feed)
    curve = pin_examination(registry, examination.run(workspace, snapshot=snapshot))
    files = release_files(workspace, registry, pins, curve)
    figures = evaluation.figures(evaluation.scores(files), pins, curve=read_examination(files))
    told = {found.task: found for found in figures}["click_1d"].whole()

    heads = Scorer.from_files(files).heads.of(["click_1d"])
    frame = evaluation.days(slices["click_1d"].test, (*heads.columns, "position"), ["click_1d"])
    gains = request_gains(
        frame["click_1d"],
        heads.predict(frame)["s_click_1d"],
        frame["request_id"],
        k=3,
        examination=Examination(LOOKS).at(frame["position"]),
    )
    ratio = gains.gained.sum() / gains.ideal.sum()
    assert told["ndcg"].value == pytest.approx(ratio)
    model = registry.part(f"{NAME}.task.click_1d", 1)
    trained = read_plain(workspace.home, registry.run_id(model))
    assert of_all_rows(trained["test"])["ndcg"] == pytest.approx(ratio)


def _pins(feed: Feed) -> Pins:
    workspace, snapshot = feed
    parts = []
    for task in workspace.contracts.tasks.tasks:
        model = train.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot)
        fitted = calibrate.run(
            workspace, task=task, as_of=AS_OF, snapshot=snapshot, model_version=model.version
        )
        parts.append(Trained(task, model.version, fitted.version))
    return pin_tasks(workspace, workspace.store.registry, parts, as_of=AS_OF)
