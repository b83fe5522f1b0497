"""Heads of a small world beside a constant and single features: honest, leaked, constant and worse than that."""

import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tasks.contracts.gates import ModelGate
from tasks.evaluation.figures import TaskFigures
from tasks.evaluation.subjects import Subject
from tasks.evaluation.verdicts import Outcome, Verdict
from tasks.labels.store import LabelStore
from tasks.promotion.gates.references import judge_references
from tasks.ranking.maps import LogisticMap
from tasks.release.parts import Pins, pin_tasks, release_files
from tasks.release.release_days import ReleaseDays
from tasks.stores.store import Store
from tasks.training.slices import plan_slices
from tests.feeds import small_feed
from tests.feeds.small_feed import AS_OF, NAME
from tests.feeds.small_release import Feed, fitted


def figures_of(feed: Feed, files: Mapping[str, bytes], pins: Pins) -> list[TaskFigures]:
    workspace, snapshot = feed
    labels = LabelStore(workspace.store, NAME).snapshot(snapshot)
    days = labels.days().column("ds").to_pylist()
    release_days = ReleaseDays(workspace, labels, plan_slices(workspace.contracts, AS_OF, days).tasks)
    return release_days.figures(release_days.scores(files), pins)


def judged(figures: list[TaskFigures], weighted: set[str]) -> dict[str, Verdict]:
    verdicts = judge_references(ModelGate(), figures, weighted, run="run-1")
    return {str(verdict.subject): verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def pins(labelled_feed: Feed) -> Pins:
    workspace, snapshot = labelled_feed
    return pin_tasks(workspace, workspace.store.registry, fitted(workspace, snapshot), as_of=AS_OF)


@pytest.fixture(scope="module")
def files(labelled_feed: Feed, pins: Pins) -> Mapping[str, bytes]:
    return release_files(labelled_feed[0], Store.open(labelled_feed[0].home).registry, pins)


@pytest.fixture(scope="module")
def leaked(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    """The same feed with a column among its features that is 1 where the impression was clicked."""
    folder = tmp_path_factory.mktemp("leaked")
    surface = small_feed.SURFACE.replace("[price, age]", "[price, age, refund]")
    small_feed.write_contracts(folder / "surfaces", surface=surface)
    small_feed.write_logs(folder / "home/logs")
    file = folder / f"home/logs/{NAME}/impressions/a.parquet"
    impressions, events = pq.read_table(file), pq.read_table(file.parents[1] / "events/a.parquet")
    clicks = events.filter(pc.equal(events["event"], "click"))
    known = set(zip(*(clicks[name].to_pylist() for name in ("request_id", "item_id")), strict=True))
    keys = zip(*(impressions[name].to_pylist() for name in ("request_id", "item_id")), strict=True)
    pq.write_table(impressions.append_column("refund", pa.array([float(key in known) for key in keys])), file)
    return small_feed.labelled(folder)


def test_honest_heads_pass_beside_the_feature_that_they_learned_from(
    labelled_feed: Feed, pins: Pins, files: Mapping[str, bytes]
) -> None:
    figures = figures_of(labelled_feed, files, pins)
    click = next(one for one in figures if one.task == "click_1d").references
    assert click is not None
    assert click.auc is not None
    assert click.auc.feature == "price"
    assert click.auc.gain.low > 0, "the category tells more"
    verdicts = judged(figures, {"click_1d", "buy_2d", "back_2d", "spend_2d"})
    assert Outcome.BLOCK not in {verdict.outcome for verdict in verdicts.values()}
    assert verdicts["click_1d.normalized_entropy"].outcome is Outcome.PASS


def test_a_constant_head_is_no_better_than_the_base_rate(
    labelled_feed: Feed, pins: Pins, files: Mapping[str, bytes]
) -> None:
    flat = json.dumps(LogisticMap(slope=1e-12, intercept=-1.5).to_json()).encode()
    figures = figures_of(labelled_feed, {**files, "calibrators/click_1d.json": flat}, pins)
    assert judged(figures, {"click_1d"})["click_1d.normalized_entropy"].outcome is Outcome.BLOCK
    assert judged(figures, set())["click_1d.normalized_entropy"].outcome is Outcome.WARN


def test_a_value_head_worse_than_the_mean_is_no_better_than_it(
    labelled_feed: Feed, pins: Pins, files: Mapping[str, bytes]
) -> None:
    """What is expected of every row is ten times what was learned."""
    plain = json.loads(files["calibrators/spend_2d.json"])
    high = {**plain, "knots_y": [10 * value for value in plain["knots_y"]]}
    changed = {**files, "calibrators/spend_2d.json": json.dumps(high).encode()}
    figures = figures_of(labelled_feed, changed, pins)
    verdict = judged(figures, {"spend_2d"})["spend_2d.relative_squared_error"]
    assert verdict.outcome is Outcome.BLOCK
    assert verdict.observed is not None
    assert verdict.observed.low > 1


def test_a_feature_that_equals_the_label_is_named_and_holds(leaked: Feed) -> None:
    workspace, snapshot = leaked
    registry = workspace.store.registry
    pins = pin_tasks(workspace, registry, fitted(workspace, snapshot), as_of=AS_OF)
    figures = figures_of(leaked, release_files(workspace, registry, pins), pins)
    verdicts = judged(figures, {"click_1d"})
    for pairs in ("auc", "auc_by_request"):
        assert verdicts[str(Subject(pairs, task="click_1d", feature="refund"))].outcome is Outcome.BLOCK
        assert verdicts[f"click_1d.{pairs}"].outcome is Outcome.BLOCK
