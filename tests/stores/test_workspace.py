"""A workspace says where a surface's contracts, logs, tables and reports lie."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tasks.errors import ContractError
from tasks.stores.location import ObjectPath
from tasks.stores.store import Store, home_folder
from tasks.stores.workspace import Workspace, format_instant, parse_instant, write_report

SURFACES = Path(__file__).parents[2] / "surfaces"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open("home_feed", surfaces=SURFACES, home=tmp_path / "home")


def test_folders_that_are_not_given_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_SURFACES", str(SURFACES))
    opened = Workspace.open("home_feed")
    assert (opened.home, opened.surfaces) == (tmp_path / "home", SURFACES)
    assert opened.contracts.surface.surface == "home_feed"


def test_logs_and_tables_lie_in_the_home_unless_they_are_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EQUIPOISE_LOGS", "EQUIPOISE_STORE"):
        monkeypatch.delenv(name, raising=False)
    home = workspace.home
    places = (workspace.logs, workspace.store.root, workspace.quarantine)
    assert places == (home / "logs", home, home / "quarantine" / "home_feed")
    monkeypatch.setenv("EQUIPOISE_LOGS", "s3://bucket/logs")
    monkeypatch.setenv("EQUIPOISE_STORE", "s3://bucket/store")
    assert workspace.logs == ObjectPath("s3://bucket/logs")
    elsewhere = replace(workspace, store=Store.open(home))
    assert elsewhere.quarantine == ObjectPath("s3://bucket/store/quarantine/home_feed")


def test_an_engine_that_was_given_runs_the_labels(workspace: Workspace) -> None:
    spark = Workspace.open("home_feed", surfaces=SURFACES, home=workspace.home, engine="spark")
    assert workspace.contracts.surface.engine.name == "duckdb"
    assert spark.contracts.surface.engine.name == "spark"


def test_an_instant_is_read_from_any_zone_and_written_in_utc() -> None:
    instant = parse_instant("2026-03-01T01:00:00+01:00")
    assert instant == datetime(2026, 3, 1, tzinfo=UTC)
    assert (
        format_instant(datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == "2026-03-01T00:00:00Z"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("yesterday", "ISO 8601"),
        ("2026-03-01T00:00:00", "has no zone"),
        ("0001-01-01T00:00:00Z", "outside the years 1970 to 9999"),
        ("0001-01-01T00:00:00+05:00", "outside the years 1970 to 9999"),
        ("9999-12-31T23:00:00-05:00", "outside the years 1970 to 9999"),
    ],
)
def test_what_is_not_an_instant_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        parse_instant(text)


def test_a_report_is_written_whole_in_place_of_an_earlier_one(workspace: Workspace) -> None:
    for content in ("first", "second"):
        path = write_report(workspace, "page.html", content)
    assert path == workspace.home / "reports" / "home_feed" / "page.html"
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("sign", "%#?")
def test_a_home_that_addresses_read_as_another_is_refused_at_once(tmp_path: Path, sign: str) -> None:
    with pytest.raises(ContractError, match="Name another folder"):
        Workspace.open("home_feed", surfaces=SURFACES, home=tmp_path / f"a{sign}20b")


@pytest.mark.parametrize("name", ["it's", 'say "x"', "a&b;c", "\u00fc \u00e9"])
def test_other_names_of_a_home_are_taken(tmp_path: Path, name: str) -> None:
    assert Workspace.open("home_feed", surfaces=SURFACES, home=tmp_path / name).home == tmp_path / name


@pytest.mark.parametrize("name", ["file", "file/below/it", "loop", "loop/below"])
def test_a_home_is_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ContractError, match=f"{name} is no home: .*is not a folder"):
        home_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["a'b", "a b", "na\u00efve", "\udcff", ".hidden", "x" * 64])
def test_a_folder_whose_name_is_none_is_no_surface(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "surface.yaml").touch()
    with pytest.raises(ContractError, match="is not a name: use letters, digits and underscores"):
        Workspace.open(name, surfaces=tmp_path, home=tmp_path).require_surface()


def test_the_same_place_may_be_looked_at_under_other_contracts(workspace: Workspace) -> None:
    shorter = workspace.contracts.surface.model_copy(update={"version": 99})
    other = workspace.under(replace(workspace.contracts, surface=shorter))
    assert other.contracts.surface.version == 99
    assert (other.home, other.surfaces, other.reports) == (
        workspace.home, workspace.surfaces, workspace.reports,
    )  # fmt: skip
    assert workspace.contracts.surface.version != 99
    assert other != workspace
    assert hash(other) == hash(workspace.under(workspace.contracts)), "contracts need no hash"
