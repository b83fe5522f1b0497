"""What a task learns from: rows, weights, offsets, and every bad input with its outcome.

One labelled feed has columns of good and bad weights, propensities and features; a test asks for them in the
surface's contract.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.arrays import AnyFloats
from tasks.calibration import step as calibrate
from tasks.errors import DataError, ImmatureLabels
from tasks.stores.releases import policy_files
from tasks.stores.workspace import Workspace
from tasks.training import step as train
from tasks.training.draw_examples import TrainingRows, draw_training_rows
from tasks.training.examples import StoredFeatures
from tasks.training.rows import TaskRows
from tasks.training.slices import DaySlice
from tasks.training.trees import find_start
from tests.feeds.small_feed import AS_OF, FIRST, NAME, SURFACE, TASKS, labelled, write_contracts, write_logs
from tests.known import known

Feed = tuple[Workspace, str]


def with_columns(folder: Path, part: str = "a", **columns: Any) -> None:
    """Add columns to the impressions of a part: each a value, or made from the number of rows."""
    file = folder / f"home/logs/{NAME}/impressions/{part}.parquet"
    table = pq.read_table(file)
    for name, made in columns.items():
        values = made(len(table)) if callable(made) else np.full(len(table), made)
        table = table.append_column(name, pa.array(values, from_pandas=True))
    pq.write_table(table, file)


def one_in_100(value: float) -> Any:
    return lambda n: np.where(np.arange(n) % 100 == 0, value, 0.5)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    folder = tmp_path_factory.mktemp("weighed")
    write_contracts(folder / "surfaces")
    write_logs(folder / "home/logs", requests_a_day=60)
    with_columns(
        folder,
        trust=lambda n: np.arange(n) % 4.0,
        hollow=one_in_100(np.nan),
        negative=one_in_100(-1.0),
        nothing=0.0,
        propensity=lambda n: np.where(np.arange(n) % 2, 0.5, 0.01),
        propensity_zero=one_in_100(0.0),
        propensity_null=one_in_100(np.nan),
        constant=7.0,
        empty=lambda n: np.where(np.arange(n) < n - 50, np.nan, 1.0),  # it has values on the last day
        endless=one_in_100(np.inf),
        words=lambda n: np.where(np.arange(n) % 2, "much", "little"),
        instants=lambda n: np.arange(n).astype("datetime64[us]"),
        enormous=one_in_100(1e300),
        hollow_everywhere=np.nan,
        position=lambda n: np.arange(n) % 5,  # places that count from 0
    )
    return labelled(folder)


def asking(feed: Feed, folder: Path, *, tasks: str = TASKS, **changes: Any) -> Feed:
    """Return the feed under a surface with other training, features or columns."""
    plain = yaml.safe_load(SURFACE) | changes
    surfaces = write_contracts(folder / "asked", surface=yaml.safe_dump(plain), tasks=tasks)
    return Workspace.open(NAME, surfaces=surfaces, home=feed[0].home), feed[1]


def task_rows(feed: Feed, task: str = "click_1d") -> TaskRows:
    return TaskRows.open(feed[0], task=task, as_of=AS_OF, snapshot=feed[1])


def learned(feed: Feed, folder: Path, task: str = "click_1d", **changes: Any) -> TrainingRows:
    return draw_training_rows(task_rows(asking(feed, folder, **changes), task))


def weighed(**weights: Any) -> dict[str, Any]:
    return {"default": {"weights": weights}}


def row_weights(feed: Feed, folder: Path, **weights: Any) -> AnyFloats:
    return known(learned(feed, folder, training=weighed(**weights)).examples.weights)


def test_without_weights_or_sampling_every_row_counts_alike(feed: Feed, tmp_path: Path) -> None:
    found = learned(feed, tmp_path)
    assert (found.examples.weights, found.examples.offsets, found.factors) == (None, None, {})
    assert found.counts["observed"] == found.counts["sampled"] == len(found.examples)


def test_rows_of_weight_0_are_left_out_and_counted(feed: Feed, tmp_path: Path) -> None:
    found = learned(feed, tmp_path, training=weighed(column="trust"))
    assert found.counts["of_weight_0"] == pytest.approx(found.counts["observed"] / 3, rel=0.05)
    assert sorted(np.unique(known(found.examples.weights))) == pytest.approx([0.5, 1.0, 1.5], rel=0.01)
    assert found.factors["column"]["greatest"] == 3.0


def test_factors_are_multiplied(feed: Feed, tmp_path: Path) -> None:
    both = row_weights(feed, tmp_path, half_life="P7D", propensity={"clip": 10})
    ages = row_weights(feed, tmp_path / "1", half_life="P7D")
    shown = row_weights(feed, tmp_path / "2", propensity={"clip": 10})
    product = ages * shown
    np.testing.assert_allclose(both, product / product.mean())
    assert sorted(np.unique(shown / shown.min())) == pytest.approx([1, 5]), "1 / .5, at most 10"


def test_the_newest_row_of_the_train_days_counts_most_and_one_a_half_life_older_counts_half(
    feed: Feed, tmp_path: Path
) -> None:
    rows = task_rows(asking(feed, tmp_path, training=weighed(half_life="P7D")))
    shown = rows.read_outcomes(rows.slices.train, ["shown_at"]).column("shown_at").to_numpy()
    weights = known(draw_training_rows(rows).examples.weights)
    age = (shown.max() - shown) / np.timedelta64(7, "D")
    np.testing.assert_allclose(weights / weights.max(), 0.5**age)


def test_balanced_rows_carry_the_offset_that_undoes_them(feed: Feed, tmp_path: Path) -> None:
    examples = learned(feed, tmp_path, training=weighed(balanced=True)).examples
    positive, weights = examples.labels == 1, known(examples.weights)
    assert weights[positive].sum() == pytest.approx(weights[~positive].sum())
    assert np.unique(known(examples.offsets)) == pytest.approx(np.log((~positive).sum() / positive.sum()))


def test_balanced_weights_do_not_concern_a_value_task(feed: Feed, tmp_path: Path) -> None:
    assert learned(feed, tmp_path, "spend_2d", training=weighed(balanced=True)).examples.offsets is None


def test_each_segment_is_sampled_at_its_own_rate_which_its_offset_says(feed: Feed, tmp_path: Path) -> None:
    sampling = "sampling: {negatives: 0.5, by: {category: {b: 1.0, c: 0.1}}}"
    tasks = TASKS.replace("sampling: {negatives: 0.5}", sampling)
    rows = task_rows(asking(feed, tmp_path, tasks=tasks), "buy_2d")
    table, examples = rows.read_outcomes(rows.slices.train, ["category"]), draw_training_rows(rows).examples
    assert isinstance(examples.features, StoredFeatures)
    codes = examples.features[:][:, examples.names.index("category")]
    all_of = np.asarray(table.column("category").to_pandas())[table.column("buy_2d").to_numpy() == 0]
    for code, (name, rate) in enumerate({"a": 0.5, "b": 1.0, "c": 0.1}.items()):
        kept = (codes == code) & (examples.labels == 0)
        assert kept.sum() / (all_of == name).sum() == pytest.approx(rate, abs=0.04)
        assert np.unique(known(examples.offsets)[codes == code]) == pytest.approx(-np.log(rate))


def test_unobserved_rows_and_rows_of_weight_0_leave_every_byte_of_the_model(tmp_path: Path) -> None:
    """The added rows have other users, items, categories and values, and lie in the same days."""
    texts = []
    for more in (False, True):
        folder = tmp_path / str(more)
        plain = yaml.safe_load(SURFACE) | {
            "training": weighed(column="trust", half_life="P5D", balanced=True)
        }
        write_contracts(folder / "surfaces", surface=yaml.safe_dump(plain))
        write_logs(folder / "home/logs", requests_a_day=60)
        with_columns(folder, trust=lambda n: 1.0 + np.arange(n) % 3)
        if more:
            for part, visible, trust in (("unseen", False, 1.0), ("worthless", True, 0.0)):
                write_logs(folder / "home/logs", part=part, visible=visible, requests_a_day=20, seed=8)
                with_columns(folder, part, trust=trust)
                _move_features(folder, part)
        workspace, snapshot = labelled(folder)
        texts.append(train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot).sha256)
    assert texts[0] == texts[1]


def _move_features(folder: Path, part: str) -> None:
    """Give rows that are not to count other prices and a category of their own."""
    file = folder / f"home/logs/{NAME}/impressions/{part}.parquet"
    table = pq.read_table(file)
    other = {"price": pc.add(table["price"], 3.3), "category": pa.array(["z"] * len(table))}
    for name, values in other.items():
        table = table.set_column(table.schema.get_field_index(name), name, values)
    pq.write_table(table, file)


@pytest.mark.parametrize(
    ("weights", "columns", "words"),
    [
        ({"column": "hollow"}, {}, r"weights\.column 'hollow' is null in"),
        ({"column": "negative"}, {}, r"weights\.column 'negative' is -1 in"),
        ({"column": "enormous"}, {}, r"weights\.column 'enormous' is 1e\+300 in"),
        ({"column": "endless"}, {}, "Column 'endless' is infinite in .* rows"),
        ({"column": "words"}, {}, r"Column 'words' holds str and weights\.column needs numbers"),
        ({"column": "instants"}, {}, r"Column 'instants' holds datetime64.* weights\.column needs numbers"),
        ({"column": "nothing"}, {}, "all .* observed rows of its train slice weigh 0 by 'nothing'"),
        ({"column": "trst"}, {}, "Unknown column 'trst' .* Did you mean 'trust'"),
        ({"propensity": {}}, {"propensity": "propensity_zero"}, "the logged propensity is 0 in"),
        ({"propensity": {}}, {"propensity": "propensity_null"}, "the logged propensity is null in"),
        ({"propensity": {}}, {"propensity": "trust"}, "the logged propensity is 0, 2, 3 in"),
        ({"propensity": {}}, {"propensity": "words"}, r"holds str and weights\.propensity needs numbers"),
    ],
)
def test_weights_that_are_none_are_refused_by_name(
    feed: Feed, tmp_path: Path, weights: dict[str, Any], columns: dict[str, Any], words: str
) -> None:
    rows = task_rows(asking(feed, tmp_path, training=weighed(**weights)))
    if columns:
        stated = {field.name: getattr(rows, field.name) for field in fields(rows) if field.init}
        rows = RenamedRows(**stated, bad=columns)
    with pytest.raises(DataError, match=words):
        draw_training_rows(rows)


@dataclass(frozen=True, kw_only=True)
class RenamedRows(TaskRows):
    """Rows where a bad column of the store (``bad`` by good name) stands where a good one is read."""

    bad: Mapping[str, str]

    def read_outcomes(self, days: DaySlice, columns: Iterable[str] = (), **how: Any) -> pa.Table:
        """Read the rows of some days."""
        table = super().read_outcomes(days, [self.bad.get(name, name) for name in columns], **how)
        good = {bad: good for good, bad in self.bad.items()}
        return table.rename_columns([good.get(name, name) for name in table.column_names])


def test_what_learning_weighs_leaves_what_a_decision_weighs(feed: Feed, tmp_path: Path) -> None:
    learning = {"training": weighed(column="trust", half_life="P7D", balanced=True)}
    heavier = TASKS.replace("loss_weight: 2.0", "loss_weight: 50.0")
    before, after = feed[0], asking(feed, tmp_path, tasks=heavier, **learning)[0]
    changed = {
        kind for kind, digest in after.contracts.digests.items() if digest != before.contracts.digests[kind]
    }
    assert changed == {"surface", "tasks"}
    assert policy_files(after) == policy_files(before)


def test_a_half_life_of_seconds_leaves_the_newest_rows_and_no_error(feed: Feed, tmp_path: Path) -> None:
    found = learned(feed, tmp_path, training=weighed(half_life="PT1S"))
    assert found.counts["of_weight_0"] == 0
    assert found.factors["half_life"]["effective_rows"] < 20


def test_a_sample_without_a_negative_is_refused_with_the_way_out(feed: Feed, tmp_path: Path) -> None:
    tasks = TASKS.replace("negatives: 0.5", "negatives: 1.0e-9")
    with pytest.raises(
        DataError, match=r"sampling keeps none of the \d+ negatives .* Raise sampling\.negatives"
    ):
        learned(feed, tmp_path, "buy_2d", tasks=tasks)


@pytest.mark.parametrize("position", ["feature", "weight"])
def test_places_that_count_from_0_are_refused(feed: Feed, tmp_path: Path, position: str) -> None:
    asked: dict[str, Any] = {
        "training": {"default": {"position": position}},
        "examination": {"by_position": [1.0, 0.5]},
    }
    with pytest.raises(DataError, match="positions are below 1, the least is 0"):
        learned(feed, tmp_path, **asked)


def test_a_task_that_starts_from_one_that_cannot_be_trained_says_which(feed: Feed, tmp_path: Path) -> None:
    training = {
        "buy_2d": {"start_from": {"task": "click_1d"}},
        "click_1d": {"weights": {"column": "nothing"}},
    }
    with pytest.raises(ImmatureLabels, match=r"'buy_2d' starts from 'click_1d'\. Task 'click_1d' cannot be"):
        find_start(task_rows(asking(feed, tmp_path, training=training), "buy_2d"), None)


def test_a_feature_that_is_null_in_the_whole_log_is_no_column(feed: Feed, tmp_path: Path) -> None:
    features = {"numeric": ["price", "hollow_everywhere"], "categorical": []}
    with pytest.raises(DataError, match="Unknown column 'hollow_everywhere'"):
        learned(feed, tmp_path, features=features, segments=["category"])


def test_a_constant_and_an_empty_feature_are_no_error_beside_one_that_tells(
    feed: Feed, tmp_path: Path
) -> None:
    features = {"numeric": ["price", "constant", "empty"], "categorical": ["category"]}
    workspace, snapshot = asking(feed, tmp_path, features=features, segments=["category"])
    result = train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    assert known(result.metrics["auc"]) > 0.65


def test_constant_and_empty_features_alone_make_no_model(feed: Feed, tmp_path: Path) -> None:
    features = {"numeric": ["constant", "empty"], "categorical": []}
    workspace, snapshot = asking(feed, tmp_path, features=features, segments=["category"])
    with pytest.raises(DataError, match="'click_1d' cannot be trained: no tree found a split"):
        train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)


def test_infinite_values_are_refused_with_where_they_are(feed: Feed, tmp_path: Path) -> None:
    features = {"numeric": ["price", "endless"], "categorical": []}
    with pytest.raises(DataError, match=r"Feature 'endless' is infinite in .* rows, first in request_id"):
        learned(feed, tmp_path, features=features, segments=["category"])


@pytest.mark.parametrize("name", ["words", "instants"])
def test_text_and_time_are_no_numbers(feed: Feed, tmp_path: Path, name: str) -> None:
    features = {"numeric": [name], "categorical": []}
    with pytest.raises(DataError, match=rf"Feature '{name}' holds .*; declare it as categorical"):
        learned(feed, tmp_path, features=features, segments=["category"])


@pytest.fixture(scope="module")
def late_category(tmp_path_factory: pytest.TempPathFactory) -> Feed:
    """From day 38 on, after the train days, half the items are of a category never seen before."""
    folder = tmp_path_factory.mktemp("late")
    write_contracts(folder / "surfaces")
    write_logs(folder / "home/logs", requests_a_day=60)
    file = folder / f"home/logs/{NAME}/impressions/a.parquet"
    table = pq.read_table(file)
    late = pc.greater_equal(table["shown_at"], pa.scalar(FIRST + timedelta(days=30)))
    new = pc.and_(late, pa.array(np.arange(len(table)) % 2 == 0))
    place = table.schema.get_field_index("category")
    table = table.set_column(place, "category", pc.if_else(new, "brand_new", table["category"]))
    pq.write_table(table, file)
    return labelled(folder)


def test_a_category_never_seen_is_scored_as_missing(late_category: Feed) -> None:
    workspace, snapshot = late_category
    result = train.run(workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot)
    assert known(result.metrics["auc"]) > 0.65
    made = calibrate.run(
        workspace, task="click_1d", as_of=AS_OF, snapshot=snapshot, model_version=result.version
    )
    assert 0.8 < known(made.metrics["calibration_ratio"]) < 1.25


def test_the_threads_of_the_engine_are_in_no_digest_and_in_no_byte(feed: Feed, tmp_path: Path) -> None:
    found = []
    for threads in (1, 2, 3):
        workspace, snapshot = asking(feed, tmp_path / str(threads), engine={"threads": threads})
        model = train.run(workspace, task="buy_2d", as_of=AS_OF, snapshot=snapshot)
        found.append((model.version, model.sha256))
    assert len(set(found)) == 1


def test_no_positive_at_all_is_a_matter_of_time(feed: Feed, tmp_path: Path) -> None:
    tasks = TASKS.replace("event: buy, within: P2D}\n", "event: buy, within: P2D, value_at_least: 1000}\n")
    with pytest.raises(ImmatureLabels, match=r"'buy_2d' cannot be trained: .* 0 positives in"):
        learned(_relabelled(tasks, tmp_path), tmp_path, "buy_2d", tasks=tasks)


def _relabelled(tasks: str, folder: Path) -> Feed:
    write_contracts(folder / "surfaces", tasks=tasks)
    write_logs(folder / "home/logs", requests_a_day=10)
    return labelled(folder)
