"""A release on Spark by `mlflow.pyfunc.spark_udf`: the same numbers, and for whole requests the same slates."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.stores.tracking import current, tracking_uri
from tests.docs.pages import DOCS, blocks
from tests.feeds.toy_release import a_frame, register_toy
from tests.stores.mlflow_home import new_home

pytestmark = pytest.mark.spark

UNSAFE = {"name": "unsafe", "drop_when": {"column": "violates", "equals": True}}
KEY = ["request_id", "item_id"]
(PAGE_CODE,) = [one.text for one in blocks(DOCS / "serving.md") if "spark_udf" in one.text]
"""What the documentation says that people write: it is what is tested here."""
OF_THE_REQUEST = ["rank", "slate_position"]

Score = Callable[[int], pd.DataFrame]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion, and candidates of which some are unsafe, or not known to be safe."""
    made = new_home(tmp_path_factory.mktemp("on_spark") / "home")
    register_toy(made, hard_constraints=[UNSAFE])
    frame = a_frame(requests=200, each=7)
    unsafe = (frame["price"] > 8).astype(object)
    unsafe[::9] = None
    table = pa.Table.from_pandas(frame.assign(violates=unsafe), preserve_index=False)
    pq.write_table(table, made / "candidates.parquet")
    return made


@pytest.fixture(scope="module")
def model(home: Path) -> Iterator[Any]:
    """The champion, as MLflow loads it in this process; its registry is MLflow's own for this module alone."""
    with current(tracking_uri(home)):
        yield mlflow.pyfunc.load_model("models:/toy.release@champion")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    yield session
    session.stop()


@pytest.fixture
def score(home: Path, model: Any, spark: Any) -> Score:
    """Score on Spark with batches of so many rows; zero stands for whole partitions."""

    def run(batch: int) -> pd.DataFrame:
        typed = PAGE_CODE.replace("home_feed.release", "toy.release").replace(
            "repartition(200,", "repartition(2,"
        )
        typed = typed.replace('maxRecordsPerBatch", 0', f'maxRecordsPerBatch", {batch}')
        page = {"spark": spark, "candidates": spark.read.parquet(str(home / "candidates.parquet"))}
        exec(typed, page)  # noqa: S102 - the page's own code
        answered = pd.DataFrame([row.asDict() for row in page["scored"].collect()])
        return answered.sort_values(KEY, ignore_index=True)

    return run


@pytest.fixture(scope="module")
def here(home: Path, model: Any) -> pd.DataFrame:
    """The candidates scored by MLflow in this process."""
    scored: pd.DataFrame = model.predict(pd.read_parquet(home / "candidates.parquet"))
    return scored.sort_values(KEY, ignore_index=True)


def assert_same(spark: pd.DataFrame, here: pd.DataFrame) -> None:
    """Compare value by value, without a tolerance; Spark has no numbers of a column's own type."""
    for name in here.columns:
        one, other = spark[name], here[name]
        assert one.isna().tolist() == other.isna().tolist(), name
        assert one.dropna().tolist() == other.dropna().tolist(), name


def test_whole_partitions_of_requests_give_the_same_decision(score: Score, here: pd.DataFrame) -> None:
    assert set(here["dropped_by"].dropna()) == {"unsafe"}
    assert_same(score(0), here)


def test_small_batches_cut_requests_and_leave_the_predictions_as_they_are(
    score: Score, here: pd.DataFrame
) -> None:
    scored = score(10)
    assert_same(scored, here.drop(columns=OF_THE_REQUEST))
    assert scored["rank"].fillna(0).tolist() != here["rank"].fillna(0).tolist()
