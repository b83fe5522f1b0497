"""What a surface declares, and what follows from it."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.contracts.surface import PostgresTable, SparkTable, SurfaceSpec, check_cron, parse_source
from tests.contracts.files import VALID, check_files, load_files, setting


def surface(**changed: Any) -> SurfaceSpec:
    return SurfaceSpec.model_validate({**deepcopy(VALID["surface"]), **changed})


def test_logs_end_at_the_midnight_after_their_last_day() -> None:
    assert surface(until="2017-12-31").ends_at == datetime(2018, 1, 1, tzinfo=UTC)
    assert surface().ends_at is None


def test_a_task_s_trees_take_their_own_parameters_over_the_default_ones() -> None:
    trees = {"default": {"num_leaves": 31, "learning_rate": 0.1}, "buy": {"num_leaves": 7}}
    assert surface(lightgbm=trees).lightgbm_for("buy") == {"num_leaves": 7, "learning_rate": 0.1}
    assert surface(lightgbm=trees).lightgbm_for("click") == {"num_leaves": 31, "learning_rate": 0.1}


def test_a_curve_is_declared_flat_or_not_declared() -> None:
    assert surface(examination={"by_position": [1.0, 0.5]}).examination_curve == (1.0, 0.5)
    assert surface(examination="none").examination_curve == (1.0,)
    assert surface(examination="estimated").examination_curve is None
    assert surface().examination_curve is None


def test_a_segment_s_bins_increase_and_a_name_stands_for_its_column() -> None:
    assert [(s.name, s.column) for s in surface().segments] == [("category", "category"), ("age", "item_age")]
    with pytest.raises(ValidationError, match="bins must increase"):
        surface(segments=[{"name": "age", "from": "item_age", "bins": [7, 1]}])


def test_a_surface_is_not_named_as_a_folder_of_another_ones_builds() -> None:
    with pytest.raises(ValidationError, match="rename it"):
        surface(surface="feed__as_of")


def test_candidates_are_logged_in_a_table_or_all_of_them_were_shown() -> None:
    alone = {"impressions": "i/*.parquet", "events": "e/*.parquet"}
    assert surface(sources={**alone, "candidates": "c/*.parquet"}).logs_all_candidates
    assert surface(sources=alone, shown_is_all=True).logs_all_candidates
    assert not surface(sources=alone).logs_all_candidates


@pytest.mark.parametrize(
    "text", ["0 4 * * 1", "*/15 * * * *", "0 0-6,22-23 1 jan-jun MON", "0 0 L * *", "0 0 * * sun#1"]
)
def test_cron_strings_of_five_fields_that_come_due_are_accepted(text: str) -> None:
    assert check_cron(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "daily",
        "0 4 * *",
        "0 4  * * 1",
        "60 4 * * *",
        "0 4 * 13 *",
        "*/0 * * * *",
        "a b c d e",
        "0 4 31 4,6,9,11 *",
    ],
)
def test_other_texts_are_no_cron_strings(text: str) -> None:
    with pytest.raises(ValueError, match="is not a cron string"):
        check_cron(text)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("feed/impressions/*.parquet", "feed/impressions/*.parquet"),
        ("postgresql://warehouse/shop.events", PostgresTable("warehouse", "shop", "events")),
        ('postgresql://Store_2/shop."odd', PostgresTable("Store_2", "shop", '"odd')),
        ("spark://shop.events", SparkTable(("shop", "events"))),
        ("spark://lake.shop.events", SparkTable(("lake", "shop", "events"))),
    ],
)
def test_a_source_is_files_or_a_table(text: str, parsed: object) -> None:
    assert parse_source(text) == parsed
    assert str(parse_source(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("postgresql://warehouse/events", "write postgresql://NAME/schema.table"),
        ("postgresql://ana:hush@db.example:5432/shop", "EQUIPOISE_POSTGRESQL_<NAME>"),
        ("postgres://ana:hush@db.example/shop.events", "never in a contract"),
        ("postgresql://ana:hush@db/shop.events", "NAME is a name and no host"),
        ("spark://hush", "write spark://database.table"),
        ("spark://a.b.c.hush", "write spark://database.table"),
        ("s3://hush:hush@bucket/impressions", "copy or mount"),
        ("jdbc:postgresql://ana:hush@db/shop", "nothing reads jdbc:postgresql://"),
    ],
)
def test_a_url_that_is_not_read_is_a_problem_that_shows_the_way_out_and_not_the_url(
    tmp_path: Path, text: str, said: str
) -> None:
    (problem,) = check_files(tmp_path, setting("surface.sources.events", text)).problems
    assert (problem.file, problem.field) == ("surface.yaml", "sources.events")
    assert said in problem.hint
    assert "hush" not in str(problem)


@pytest.mark.parametrize(("engine", "problems"), [("duckdb", 1), ("spark", 0)])
def test_a_table_of_sparks_catalog_needs_spark(tmp_path: Path, engine: str, problems: int) -> None:
    def change(files: dict[str, dict[str, object]]) -> None:
        files["surface"]["sources"]["events"] = "spark://shop.events"  # type: ignore[index]  # plain data
        files["surface"]["engine"] = {"name": engine}

    found = check_files(tmp_path, change).problems
    assert len(found) == problems
    assert all("set engine: {name: spark}" in problem.hint for problem in found)


@pytest.mark.parametrize(
    ("engine", "field"),
    [
        ({"name": "polars"}, "engine.name"),
        ({"threads": 0}, "engine.threads"),
        ({"threads": "2"}, "engine.threads"),
        ({"memory": "4"}, "engine.memory"),
        ({"memory": "0GB"}, "engine.memory"),
        ({"memory": "80%"}, "engine.memory"),
        ({"cores": 2}, "engine.cores"),
    ],
)
def test_an_engine_that_is_none_is_refused(tmp_path: Path, engine: dict[str, object], field: str) -> None:
    problems = check_files(tmp_path, setting("surface.engine", engine)).problems
    assert [problem.field for problem in problems] == [field]


def test_threads_and_memory_are_in_no_digest(tmp_path: Path) -> None:
    sizes: list[dict[str, object]] = [{}, {"threads": 2}, {"threads": 3, "memory": "2GB"}]
    found = [load_files(tmp_path, setting("surface.engine", size)) for size in sizes]
    assert len({contracts.digests["surface"] for contracts in found}) == 1


def test_another_engine_leaves_the_digests(tmp_path: Path) -> None:
    contracts = load_files(tmp_path, setting("surface.engine", {"threads": 2}))
    other = contracts.run_by("spark")
    assert (other.surface.engine.name, other.surface.engine.threads) == ("spark", 2)
    assert other.digests == contracts.digests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a" * 256, "longer than 255 bytes"),
        ("é" * 200, "longer than 255 bytes"),
        ("a/" * 400 + "b", "401 folders"),
        ("feed/a**/*.parquet", "only as a whole name"),
        ("**/" * 5 + "x", "more than 4"),
        ("feed/a\nb", "a control character"),
    ],
)
def test_a_path_that_no_file_has_is_a_problem(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_source(text)
