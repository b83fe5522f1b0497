"""What a source names, and that a message never repeats a URL, which may hold a password."""

from pathlib import Path

import pytest

from tasks.contracts import check_surface
from tasks.contracts.sources import PostgresTable, SparkTable, parse_source
from tests.contracts.files import setting, write_surface


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


URLS = [
    ("postgresql://warehouse/events", "write postgresql://NAME/schema.table"),
    ("postgresql://ana:hush@db.example:5432/shop", "EQUIPOISE_POSTGRESQL_<NAME>"),
    ("postgres://ana:hush@db.example/shop.events", "never in a contract"),
    ("postgresql://ana:hush@db/shop.events", "NAME is a name and no host"),
    ("spark://hush", "write spark://database.table"),
    ("spark://a.b.c.hush", "write spark://database.table"),
    ("s3://hush:hush@bucket/impressions", "copy or mount"),
    ("jdbc:postgresql://ana:hush@db/shop", "nothing reads jdbc:postgresql://"),
]


@pytest.mark.parametrize(("text", "said"), URLS)
def test_a_url_that_is_not_read_is_refused_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_source(text)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(("text", "said"), URLS)
def test_check_shows_the_problem_and_not_the_url(tmp_path: Path, text: str, said: str) -> None:
    root = write_surface(tmp_path, lambda files: files["surface"]["sources"].update(events=text))
    (problem,) = check_surface(root, "feed").problems
    assert (problem.file, problem.field) == ("surface.yaml", "sources.events")
    assert said in problem.hint
    assert "hush" not in str(problem)


@pytest.mark.parametrize(("engine", "problems"), [("duckdb", 1), ("spark", 0)])
def test_a_table_of_sparks_catalog_needs_spark(tmp_path: Path, engine: str, problems: int) -> None:
    def change(files: dict[str, dict[str, object]]) -> None:
        files["surface"]["sources"]["events"] = "spark://shop.events"  # type: ignore[index]  # plain data
        files["surface"]["engine"] = {"name": engine}

    found = check_surface(write_surface(tmp_path, change), "feed").problems
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
    root = write_surface(tmp_path, lambda files: files["surface"].update(engine=engine))
    assert [problem.field for problem in check_surface(root, "feed").problems] == [field]


def test_threads_and_memory_are_in_no_digest(tmp_path: Path) -> None:
    sizes: list[dict[str, object]] = [{}, {"threads": 2}, {"threads": 3, "memory": "2GB"}]
    found = [
        check_surface(write_surface(tmp_path / str(i), setting("surface.engine", size)), "feed").contracts
        for i, size in enumerate(sizes)
    ]
    assert len({contracts.digests["surface"] for contracts in found if contracts}) == 1


def test_another_engine_leaves_the_digests(tmp_path: Path) -> None:
    root = write_surface(tmp_path, lambda files: files["surface"].update(engine={"threads": 2}))
    contracts = check_surface(root, "feed").contracts
    assert contracts is not None
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
