"""The SQL that ``labels sql`` prints, held by golden files, and run.

After a change that is meant: ``EQUIPOISE_REMAKE_GOLDEN=1 .venv/bin/python -m pytest tests/labels/test_script.py``,
then read the difference before you commit it.
"""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tasks.contracts import load_surface
from tasks.datasets.world.generate import generate
from tasks.labels import build as labels
from tasks.labels.script import labels_script
from tasks.settings import Settings
from tasks.stores.store import Store
from tasks.stores.workspace import Workspace

GOLDEN = Path(__file__).with_name("golden")
SURFACES = Path(__file__).parents[2] / "surfaces"
AS_OF = datetime(2026, 1, 11, 3, tzinfo=UTC)


@pytest.mark.parametrize("dialect", ["duckdb", "spark"])
def test_the_printed_sql_is_the_golden_one(dialect: str) -> None:
    file = GOLDEN / f"home_feed.{dialect}.sql"
    printed = labels_script(load_surface(SURFACES, "home_feed"), dialect) + "\n"
    if Settings().remake_golden:
        file.write_text(printed)
    assert printed == file.read_text(), f"{file.name} is of other SQL: {__doc__}"


def test_the_head_says_whose_labels_they_are_and_what_the_parameter_is() -> None:
    contracts = load_surface(SURFACES, "home_feed")
    head = labels_script(contracts, "spark").partition("WITH")[0]
    assert all(line.startswith("--") for line in head.splitlines())
    for said in (
        "home_feed",
        "home-feed-labels",
        "version 1",
        contracts.digests["tasks"],
        ":as_of",
        ":arrived",
        "P1D",
    ):
        assert said in head


def test_the_golden_sql_gives_the_labels_of_a_build(tmp_path: Path) -> None:
    generate(days=12, requests_per_day=20, seed=1, out=tmp_path / "logs" / "home_feed")
    built = labels.run(Workspace("home_feed", SURFACES, Store.open(tmp_path)), as_of=AS_OF)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in ("impressions", "events"):
            files = tmp_path / "logs" / "home_feed" / table / "*.parquet"
            connection.execute(f"CREATE VIEW {table} AS FROM '{files}'")
        sql = (GOLDEN / "home_feed.duckdb.sql").read_text()
        connection.execute(f"CREATE TABLE golden AS {sql}", {"as_of": AS_OF, "arrived": AS_OF})
        golden = connection.table("golden")
        stored = connection.read_parquet(
            f"{tmp_path}/labels/home_feed/ds=*/*.parquet", hive_partitioning=True
        )
        same_columns = stored.project(", ".join(f'"{name}"' for name in golden.columns))
        assert len(golden.to_arrow_table()) == built.rows
        assert len(golden.except_(same_columns).to_arrow_table()) == 0
