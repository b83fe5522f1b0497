"""Every bad input, held to every kind of head: what cannot be learned is said, and never a constant is registered.

::

    head        binary, value, ranking, conditional, survey: the columns of the table
    bad input   no positive, one outcome, too few, constant, empty or infinite features, an unseen category,
                weights of zero, a calibrate slice without a positive: its rows, a test each

One feed has them all: its events ``always`` follow each impression, ``never`` does not happen, and a column is
bad in the way of its name. What was retrained beside a champion keeps the champion's model then
(test_heads_of_every_kind.py, test_kept.py).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.calibration import step as calibrate
from tasks.calibration.choice import fit_map
from tasks.errors import DataError, ImmatureLabels
from tasks.ranking.features import FeatureEncoder
from tasks.ranking.maps import IdentityMap
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.encoding import encode
from tasks.training.rows import TaskRows
from tasks.training.trees import read_model
from tests.feeds.small_feed import AS_OF, NAME, SURFACE, UTILITY, labelled, write_contracts, write_logs
from tests.training.test_draw_examples import one_in_100, with_columns

pytestmark = pytest.mark.xdist_group("bad_input")  # in one process, which labels the feed once

Feed = tuple[Workspace, str]


def outcome(event: str, **more: Any) -> dict[str, Any]:
    return {"family": "engagement", "positive": {"event": event, "within": "P1D", **more}}


def values(event: str) -> dict[str, Any]:
    return {
        "family": "conversion",
        "kind": "value",
        "value": {"event": event, "within": "P1D", "aggregate": "count"},
    }


def given_an_answer(event: str) -> dict[str, Any]:
    return outcome(event) | {"observed_when": {"event": "click"}}


@dataclass(frozen=True)
class Head:
    """A kind of head: a task of some event's, the event that it is learned from, and what its errors count."""

    task: Any
    event: str
    training: dict[str, Any]
    counted: str = "positives"


HEADS = {
    "binary": Head(outcome, "buy", {}),
    "value": Head(values, "buy", {}, counted="values other than 0"),
    "ranking": Head(outcome, "click", {"objective": "lambdarank"}),
    "conditional": Head(lambda event: outcome(event, after="bought"), "back", {}),
    "survey": Head(given_an_answer, "buy", {"weights": {"response": {}}}),
}
EVENTS = {"": None, "none_": "never", "all_": "always"}
COLUMNS = {
    "constant": 7.0,
    "empty": lambda n: np.where(np.arange(n) < n - 50, np.nan, 1.0),  # it has values on the last day
    "endless": one_in_100(np.inf),
    "endless_late": lambda n: np.where(np.arange(n) // (n // 46) == 33, np.inf, 1.0),  # of a calibrate day
    "nothing": 0.0,
}


def contracts(folder: Path, **changes: Any) -> Path:
    """Write a surface with every kind of head, learned from its own event, from none and from one that is everywhere."""
    tasks = {"bought": outcome("buy")}
    tasks |= {
        f"{kind}{name}": head.task(event or head.event)
        for name, head in HEADS.items()
        for kind, event in EVENTS.items()
    }
    learned = {f"{kind}{name}": head.training for name, head in HEADS.items() for kind in EVENTS}
    default = changes.pop("default", {})
    surface = yaml.safe_load(SURFACE) | {"training": {"default": default, **learned}} | changes
    return write_contracts(
        folder,
        surface=json.dumps(surface),
        tasks=json.dumps({"contract": "bad-input", "version": 1, "tasks": tasks}),
        utility=UTILITY.split("weights:", maxsplit=1)[0] + "weights: {binary: 1.0}\n",
    )


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    folder = tmp_path_factory.mktemp("bad_input")
    contracts(folder / "surfaces")
    write_logs(folder / "home/logs", requests_a_day=40)
    with_columns(folder, **COLUMNS)
    _add_what_always_happens(folder / "home/logs" / NAME)
    return labelled(folder)


def _add_what_always_happens(logs: Path) -> None:
    """Let an event follow each impression by two hours, after any purchase."""
    impressions = pq.read_table(logs / "impressions/a.parquet")
    keys = {name: impressions[name] for name in ("request_id", "user_id", "item_id")}
    at = pc.add(impressions["shown_at"], pa.scalar(7_200_000_000, pa.duration("us")))
    n = len(impressions)
    always = {
        "event": pa.array(["always"] * n),
        "happened_at": at,
        **keys,
        "value": pa.nulls(n, pa.float64()),
    }
    pq.write_table(pa.table(always), logs / "events/always.parquet")


def asking(feed: Feed, folder: Path, **changes: Any) -> Workspace:
    return Workspace.open(NAME, surfaces=contracts(folder / "asked", **changes), home=feed[0].home)


def assert_refused(feed: Feed, workspace: Workspace, task: str, error: type[DataError], words: str) -> None:
    """Assert that training a task ends in exactly this error and registers nothing."""
    before = workspace.store.registry.versions(f"{NAME}.task.{task}")
    with pytest.raises(error, match=words) as raised:
        train.run(workspace, task=task, as_of=AS_OF, snapshot=feed[1])
    assert type(raised.value) is error
    assert workspace.store.registry.versions(f"{NAME}.task.{task}") == before


every_head = pytest.mark.parametrize("name", HEADS)


@every_head
def test_no_positive_is_a_matter_of_time(feed: Feed, name: str) -> None:
    words = rf"'none_{name}' cannot be trained: .* 0 {HEADS[name].counted} in \d+ .*rows, 20 are needed"
    assert_refused(feed, feed[0], f"none_{name}", ImmatureLabels, words)


@every_head
def test_one_outcome_alone_is_the_fault_of_the_log(feed: Feed, name: str) -> None:
    words = rf"'all_{name}' cannot be trained: all \d+ observed labels .* are 1\. It needs both outcomes"
    assert_refused(feed, feed[0], f"all_{name}", DataError, words)


@every_head
def test_fewer_positives_than_the_floor_are_a_matter_of_time(feed: Feed, tmp_path: Path, name: str) -> None:
    workspace = asking(feed, tmp_path, minimum={"train": "P7D", "positives": 10**6})
    words = rf"'{name}' cannot be trained: .* [1-9]\d* {HEADS[name].counted} in \d+ .*, 1000000 are needed"
    assert_refused(feed, workspace, name, ImmatureLabels, words)


@every_head
@pytest.mark.parametrize("worthless", ["constant", "empty"])
def test_features_that_tell_nothing_make_no_model(
    feed: Feed, tmp_path: Path, name: str, worthless: str
) -> None:
    features = {"numeric": [worthless], "categorical": []}
    workspace = asking(feed, tmp_path, features=features, segments=["category"])
    assert_refused(feed, workspace, name, DataError, f"'{name}' cannot be trained: no tree found a split")


@every_head
def test_infinite_values_are_named_and_counted(feed: Feed, tmp_path: Path, name: str) -> None:
    features = {"numeric": ["price", "endless"], "categorical": []}
    workspace = asking(feed, tmp_path, features=features, segments=["category"])
    words = r"Feature 'endless' is infinite in \d+ .*rows, first in request_id"
    assert_refused(feed, workspace, name, DataError, words)


def test_infinite_values_of_the_calibrate_days_alone_are_named_when_these_are_read(
    feed: Feed, tmp_path: Path
) -> None:
    features = {"numeric": ["price", "endless_late"], "categorical": []}
    workspace = asking(feed, tmp_path, features=features, segments=["category"])
    model = train.run(workspace, task="binary", as_of=AS_OF, snapshot=feed[1])
    with pytest.raises(DataError, match=r"Feature 'endless_late' is infinite in \d+ of \d+ rows"):
        calibrate.run(workspace, task="binary", as_of=AS_OF, snapshot=feed[1], model_version=model.version)
    assert not workspace.store.registry.versions(f"{NAME}.calibrator.binary")


@every_head
def test_weights_of_zero_leave_nothing_to_learn_from(feed: Feed, tmp_path: Path, name: str) -> None:
    own = HEADS[name].training.get("weights", {})
    weights = {name: {**HEADS[name].training, "weights": {**own, "column": "nothing"}}}
    workspace = asking(feed, tmp_path, training=weights)
    words = rf"'{name}' cannot be trained: all \d+ observed rows .* weigh 0"
    assert_refused(feed, workspace, name, ImmatureLabels, words)


@every_head
def test_beside_a_feature_that_tells_the_worthless_are_not_used_and_an_unseen_category_is_none(
    feed: Feed, tmp_path: Path, name: str
) -> None:
    features = {"numeric": ["price", "constant", "empty"], "categorical": ["category"]}
    workspace = asking(feed, tmp_path, features=features, segments=["category"])
    booster, encoder = _trained(workspace, feed[1], name)
    splits = dict(zip(booster.feature_name(), booster.feature_importance("split"), strict=True))
    assert splits["price"] > splits["constant"] == splits["empty"] == 0
    new, none = (booster.predict(encode(encoder, _items(category))) for category in ("brand_new", None))
    assert np.isfinite(new).all()
    assert np.ptp(new) > 0
    np.testing.assert_array_equal(new, none)


def _trained(workspace: Workspace, snapshot: str, task: str) -> tuple[lgb.Booster, FeatureEncoder]:
    registry = workspace.store.registry
    model = train.run(workspace, task=task, as_of=AS_OF, snapshot=snapshot)
    return read_model(registry.files(registry.part(model.model, model.version)))


def _items(category: str | None) -> pa.Table:
    n = 50
    numbers = {"price": np.linspace(0, 1, n), "constant": np.full(n, 7.0), "empty": np.full(n, np.nan)}
    return pa.table({**numbers, "category": pa.array([category] * n, pa.string())})


@every_head
def test_a_calibrate_slice_without_a_positive_is_a_matter_of_time(feed: Feed, name: str) -> None:
    rows = TaskRows.open(feed[0], task=name, as_of=AS_OF, snapshot=feed[1])
    table = rows.read_for_report(rows.slices.calibrate)
    scores, outcomes = np.linspace(0.1, 0.2, len(table)), np.zeros(len(table))
    if name == "ranking":  # an order is no probability and has no map
        assert fit_map(rows, table, scores, outcomes, tested=None) == (IdentityMap(), None)
        return
    words = rf"'{name}' cannot be calibrated: .* has 0 {HEADS[name].counted}"
    with pytest.raises(ImmatureLabels, match=words):
        fit_map(rows, table, scores, outcomes, tested=None)


@pytest.mark.parametrize("value", [np.inf, 1e39])
def test_a_value_of_the_calibrate_days_that_trees_could_not_hold_makes_no_map(
    feed: Feed, value: float
) -> None:
    rows = TaskRows.open(feed[0], task="value", as_of=AS_OF, snapshot=feed[1])
    table = rows.read_for_report(rows.slices.calibrate)
    outcomes = np.where(np.arange(len(table)) == 3, value, 1.0)
    words = r"'value' cannot be calibrated: .* has 1 values beyond 3\.4e\+38.* Clip the value in tasks\.yaml"
    with pytest.raises(DataError, match=words):
        fit_map(rows, table, np.ones(len(table)), outcomes, tested=None)
